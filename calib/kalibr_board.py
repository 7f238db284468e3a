"""Reads the board files of Kalibr: aprilgrid, checkerboard and circlegrid."""

import math
from pathlib import Path
from typing import Any

from calib import files
from calib.errors import ConfigError

_LIMIT_BYTES = 100_000


def read_kalibr_board(path: str | Path) -> dict[str, Any]:
    """Read a board of Kalibr (https://github.com/ethz-asl/kalibr/wiki/calibration-targets).

    Returns
    -------
    dict
        the fields of `calib.target.Target`: kind, columns, rows, square_m and, for an aprilgrid, marker_m and dictionary

    Raises
    ------
    InputError
        The file is missing, a folder, empty or too large.
    ConfigError
        It is no such file, a setting is missing or impossible, or the board has unequal spacings.
    """
    import yaml

    try:
        entries = yaml.safe_load(files.read_bytes(path, kind="board file", limit_bytes=_LIMIT_BYTES).decode("utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or a date that does not exist
        raise ConfigError(f"{path}: is not valid YAML: {str(error).splitlines()[0]}; give a board file of Kalibr") from error
    if not isinstance(entries, dict) or "target_type" not in entries:
        raise ConfigError(f"{path}: has no target_type; give a board file of Kalibr (aprilgrid, checkerboard or circlegrid)")
    return _fields(path, entries)


def _fields(path: str | Path, entries: dict[Any, Any]) -> dict[str, Any]:
    kind = entries["target_type"]
    if kind == "aprilgrid":
        tag_m, ratio = _number(path, entries, "tagSize"), _number(path, entries, "tagSpacing")
        if entries.get("codeOffset", 0) != 0:
            raise ConfigError(f"{path}: codeOffset is {entries['codeOffset']}; only boards whose first tag is 0 are understood")
        fields = {"kind": "aprilgrid", "columns": _count(path, entries, "tagCols"), "rows": _count(path, entries, "tagRows")}
        return fields | {"square_m": tag_m * (1.0 + ratio), "marker_m": tag_m, "dictionary": "APRILTAG_36h11"}
    counts = {"columns": _count(path, entries, "targetCols"), "rows": _count(path, entries, "targetRows")}
    if kind == "checkerboard":
        across, down = _number(path, entries, "colSpacingMeters"), _number(path, entries, "rowSpacingMeters")
        if abs(across - down) > 1e-6 * across:
            raise ConfigError(
                f"{path}: fields of {across:g} x {down:g} m (colSpacingMeters, rowSpacingMeters); only squares are understood"
            )
        return {"kind": "chessboard", **counts, "square_m": across}
    if kind == "circlegrid":
        is_asymmetric = entries.get("asymmetricGrid", False)
        if not isinstance(is_asymmetric, (bool, int)):
            raise ConfigError(f"{path}: asymmetricGrid is {is_asymmetric!r}; it must be true or false")
        return {"kind": "acircles" if is_asymmetric else "circles", **counts, "square_m": _number(path, entries, "spacingMeters")}
    raise ConfigError(f"{path}: unknown target_type {kind!r}; it must be aprilgrid, checkerboard or circlegrid")


def _count(path: str | Path, entries: dict[Any, Any], name: str) -> int:
    value = _number(path, entries, name)
    if value != int(value):
        raise ConfigError(f"{path}: {name} is {value:g}; it must be a whole number")
    return int(value)


def _number(path: str | Path, entries: dict[Any, Any], name: str) -> float:
    if name not in entries:
        raise ConfigError(f"{path}: {name} is missing; the {entries['target_type']} needs it")
    try:
        if isinstance(entries[name], bool):
            raise ValueError
        value = float(entries[name])  # PyYAML takes 1e-2 for text
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 0.0 < value < math.inf:
        raise ConfigError(f"{path}: {name} is {entries[name]!r}; it must be a number > 0")
    return value
