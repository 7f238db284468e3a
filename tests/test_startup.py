"""`--help` and the bare imports load nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = ("numpy", "scipy", "cv2", "numba", "rich", "open3d", "matplotlib", "jinja2", "yaml", "plyfile")


def loaded(code: str) -> list[str]:
    """Heavy modules in sys.modules after running `code` in a new interpreter."""
    report = f"\nimport sys\nprint(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split() if done.stdout.strip() else []


@pytest.mark.parametrize("package", ["calib", "stereo"])
def test_import_is_light(package: str) -> None:
    assert loaded(f"import {package}") == []


@pytest.mark.parametrize("package", ["calib", "stereo"])
def test_every_name_of_a_package_resolves(package: str) -> None:
    module = __import__(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = module.nonsense


@pytest.mark.parametrize(
    "words",
    [
        ("calib", "--help"),
        ("calib", "solve", "--help"),
        ("stereo", "--help"),
        ("stereo", "run", "--help"),
        ("stereo", "score", "--help"),
        ("stereo", "demo", "--help"),
    ],
)
def test_help_is_light(words: tuple[str, ...]) -> None:
    code = f"import {words[0]}.cli as c\ntry:\n    c.main({list(words[1:])!r})\nexcept SystemExit as e:\n    assert not e.code"
    assert loaded(code) == []
