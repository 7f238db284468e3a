"""What a run does: `RunSettings`, and `run.yaml`, which records inputs, settings and versions so that the run can be repeated."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Literal

from calib.config import dump_config, load_config, override
from calib.errors import UsageError
from stereo.search_range import LIMIT_PX, parse_depth
from stereo.settings import MatcherSettings, preset_settings

Unit = Literal["m", "cm", "mm", "in"]
Cameras = Literal["colour", "grey"]

_PACKAGES = ("numpy", "numba", "llvmlite", "pillow", "matplotlib", "plyfile", "jinja2")
"""besides OpenCV, whose package has several names: matplotlib brings the font that pillow draws, jinja2 the page"""
_HEAD = """How this result was made; nothing here changes from run to run.
Again, into another folder: stereo run --config run.yaml -o DIR"""
_COMMENTS = {
    "left": "photos as they were given",
    "rig": "null: the photos were taken as rectified, so there is no metric depth",
    "unit": "of the rig's lengths, the size of its images and which of its cameras, where the rig file does not state them",
    "range": "[MIN, MAX) of disparities that were searched, px; null: found in the images",
    "depth": "NEAR:FAR with units, which sets the range instead",
    "picture.fill": "true: pixels without an answer get a value in preview.png, veiled in grey; in no other result",
    "record": "what this run met; a later run with this file says so where it meets something else",
    "record.range_from": "why this range",
    "record.warnings": "what its search saw wrong with the images",
    "record.sha256": "of the files above",
}


def _check_preset(value: str) -> str | None:
    try:
        preset_settings(value)
    except UsageError as error:
        return str(error)
    return None


def _check_range(value: tuple[int, int] | None) -> str | None:
    if value is None:
        return None
    if value[0] >= value[1]:
        return "must be [MIN, MAX] with MIN < MAX"
    return f"must lie within {LIMIT_PX} px" if max(map(abs, value)) > LIMIT_PX else None


def _check_depth(value: str | None) -> str | None:
    try:
        if value is not None:
            parse_depth(value)
    except UsageError as error:
        return str(error)
    return None


def _check_positive(value: float | None) -> str | None:
    return None if value is None or (value > 0.0 and math.isfinite(value)) else "must be > 0"


def _check_one_of(search_range: tuple[int, int] | None, depth: str | None) -> None:
    if search_range is not None and depth is not None:
        raise ValueError(f"range {list(search_range)} and depth {depth} are both given; give one of them")


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """Which points of a depth map become a cloud."""

    max_relative_sigma: Annotated[float, _check_positive] = 1.0 / 3.0
    """points whose sigma_Z / Z is larger are left out: they cannot be told from infinity"""
    max_depth_m: Annotated[float | None, _check_positive] = None
    """points farther away are left out; null keeps all"""


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """How preview.png is drawn."""

    fill: bool = False
    """values for pixels without an answer, veiled in grey; in the preview alone, for they were not measured"""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that decides the result of a run, besides its inputs."""

    preset: Annotated[str, _check_preset] = "balanced"
    """the named settings that `matcher` started from"""
    range: Annotated[tuple[int, int] | None, _check_range] = None
    """[MIN, MAX) in px; None: from `depth`, or else found in the images"""
    depth: Annotated[str | None, _check_depth] = None
    """NEAR:FAR with units, such as 0.5m:20m or 30cm:inf"""
    matcher: MatcherSettings = field(default_factory=MatcherSettings)
    cloud: CloudSettings = field(default_factory=CloudSettings)
    picture: PictureSettings = field(default_factory=PictureSettings)

    def __post_init__(self) -> None:
        _check_one_of(self.range, self.depth)


@dataclass(frozen=True, slots=True)
class Record:
    """What a run met."""

    range: tuple[int, int] | None = None
    """that was searched"""
    range_from: str = ""
    """why the range is what it is"""
    warnings: tuple[str, ...] = ()
    """what was wrong with the images, as far as the search for the range saw it"""
    sha256: dict[str, str] = field(default_factory=dict)
    """left, right and rig -> hexadecimal digest of the file"""
    versions: dict[str, str] = field(default_factory=dict)
    """package -> version"""


@dataclass(frozen=True, slots=True)
class RunFile:
    """The schema of `run.yaml`, and of files given with `--config`."""

    left: Path | None = None
    right: Path | None = None
    rig: Path | None = None
    unit: Unit | None = None
    image_size: tuple[int, int] | None = None
    cameras: Cameras | None = None
    preset: Annotated[str, _check_preset] = "balanced"
    range: Annotated[tuple[int, int] | None, _check_range] = None
    depth: Annotated[str | None, _check_depth] = None
    matcher: MatcherSettings = field(default_factory=MatcherSettings)
    cloud: CloudSettings = field(default_factory=CloudSettings)
    picture: PictureSettings = field(default_factory=PictureSettings)
    record: Record | None = None

    def __post_init__(self) -> None:
        _check_one_of(self.range, self.depth)

    @property
    def settings(self) -> RunSettings:
        """The part that `RunSettings` holds."""
        return RunSettings(self.preset, self.range, self.depth, self.matcher, self.cloud, self.picture)

    def with_settings(self, settings: RunSettings) -> "RunFile":
        """The same inputs with other settings."""
        return replace(self, **{each.name: getattr(settings, each.name) for each in fields(settings)})


def load_run_file(path: str | Path) -> RunFile:
    """Read a settings file; matcher settings that it does not mention are those of its preset.

    Raises
    ------
    InputError
        The file cannot be read.
    ConfigError
        One line for each mistake in it.
    """
    import yaml

    run_file = load_config(path, RunFile)
    given = (yaml.safe_load(Path(path).read_text("utf-8-sig")) or {}).get("matcher") or {}
    matcher = replace(preset_settings(run_file.preset), **{name: getattr(run_file.matcher, name) for name in given})
    return replace(run_file, matcher=matcher)


def change_settings(
    settings: RunSettings,
    *,
    preset: str | None = None,
    assignments: Sequence[str] = (),
    search_range: tuple[int, int] | None = None,
    depth: str | None = None,
) -> RunSettings:
    """Settings with a preset, then single settings such as `matcher.p2=64`, then a range or depth limits applied.

    Raises
    ------
    UsageError
        An unknown preset, or a setting that does not exist or cannot have this value.
    """
    if preset is not None:
        matcher = preset_settings(preset)  # first, for it refuses unknown names
        settings = replace(settings, preset=preset, matcher=matcher)
    changed = override(settings, assignments) if assignments else settings
    if changed.preset != settings.preset:  # named in an assignment: the other assignments count on top of it
        settings = replace(settings, preset=changed.preset, matcher=preset_settings(changed.preset))
        changed = override(settings, assignments)
    settings = changed
    if search_range is not None or depth is not None:
        settings = replace(settings, range=search_range, depth=depth)
    return settings


def run_file_text(run_file: RunFile) -> str:
    """The YAML of `run.yaml`, with comments."""
    return dump_config(run_file, comments={"": _HEAD, **_COMMENTS})


def settings_text(settings: RunSettings) -> str:
    """The YAML of settings alone, as `--config` reads it back."""
    return dump_config(
        settings, comments={name: text for name, text in _COMMENTS.items() if name in ("range", "depth", "picture.fill")}
    )


def package_versions() -> dict[str, str]:
    """Versions of this package, of Python and of the libraries that take part in a result."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import cv2

    import stereo

    found = {"stereo": stereo.__version__, "python": platform.python_version(), "opencv": cv2.__version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # installed without its metadata
            continue
    return found


def printable(text: str) -> str:
    r"""Text that UTF-8 can hold: bytes of a file name that are not UTF-8 become \udcXX, as Python writes them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
