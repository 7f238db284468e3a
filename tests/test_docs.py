"""What README and `--help` promise is run."""

import importlib
import re
import shlex
import shutil
from pathlib import Path

import pytest

import calib.cli
import stereo.cli
from stereo.demo import run_demo

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = {"calib": calib.cli.main, "stereo": stereo.cli.main}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def camera_commands() -> list[list[str]]:
    """The four commands for one's own camera."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.split()[0] in PROGRAMS]


def commands_of(program: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert PROGRAMS[program](["--help"]) == 0
    text = capsys.readouterr().out.split("commands:")[1]
    return re.findall(r"^    (\w+) ", text, re.MULTILINE)


def test_camera_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On photos of the demo, renamed as the README calls them, in the README's order."""
    run_demo(tmp_path / "demo", scale=0.5, board_pairs=8, supersampling=2)
    shutil.move(tmp_path / "demo" / "photos", tmp_path / "photos")
    for name in ("left.png", "right.png"):
        shutil.move(tmp_path / "demo" / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    words = camera_commands()
    assert [w[:2] for w in words] == [["calib", "solve"], ["calib", "show"], ["calib", "rectify"], ["stereo", "run"]]
    for command in words:
        assert PROGRAMS[command[0]](command[1:]) == 0, capsys.readouterr().err
    written = {path.name for path in (tmp_path / "out").iterdir()}
    (tree,) = re.findall(r"^```\n(out/.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert written == set(re.findall(r"[\w.]+\.(?:tiff|png|yaml|jsonl|ply|html)", re.sub(r"stereo run --config \S+", "", tree)))


def test_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "cloud.ply").stat().st_size > 100_000
    exec("import numpy as np; found = match(pair.left, pair.right, search_range=(-40, 88))", names)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_has_help_and_is_documented(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = commands_of(program, capsys)
    assert len(names) >= 2
    for name in names:
        assert PROGRAMS[program]([name, "--help"]) == 0
        assert f"{program} {name}" in capsys.readouterr().out
        assert f"{program} {name}" in README


def test_set_up_commands_are_marked() -> None:
    """CI runs the README's own test command, found below its mark."""
    for mark, end in (("demo", "stereo demo -o stereo-demo"), ("tests", "python -m pytest -q")):
        found = re.search(rf"<!-- command: {mark} -->\n```bash\n(.*)\n```", README)
        assert found is not None
        assert found[1].startswith("python3 -m venv .venv && .venv/bin/pip install")
        assert found[1].endswith(end)


def test_benchmarks_exist() -> None:
    names = set(re.findall(r"python -m (bench\.\w+)", README))
    known = ("accuracy", "calibration", "constants", "depth", "faults", "memory", "ranges", "sgm", "sigma")
    assert names == {f"bench.{name}" for name in known}
    for name in names:
        assert callable(importlib.import_module(name).main)


def test_changelog_knows_the_version() -> None:
    assert f"## [{calib.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert calib.__version__ == stereo.__version__
    assert f'version = "{calib.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_result_pictures_of_the_readme_exist() -> None:
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).is_file()
