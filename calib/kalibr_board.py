"""Reads the board files of Kalibr: aprilgrid, checkerboard and circlegrid."""

import math
import re
from pathlib import Path
from typing import Any

from calib import files
from calib.errors import ConfigError

_LIMIT_BYTES = 20_000
_MOST_CHARACTERS = 40  # of a value: no number or word of a board needs more, and messages quote it
_DEEPEST = 4
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


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

    text = files.read_bytes(path, kind="board file", limit_bytes=_LIMIT_BYTES)
    try:
        words = text.decode("utf-8-sig")
        # Aliases may stand for more than fits in memory, and deep nesting takes minutes. Values stay text: an integer may have
        # more digits than can be printed.
        depth = 0
        for event in yaml.parse(words, Loader=yaml.BaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
                what = "nests lists or mappings" if depth > _DEEPEST else "refers to an alias (*name)"
                raise ConfigError(f"{path}: {what}, which no board needs; give a board file of Kalibr")
        entries = yaml.load(words, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise ConfigError(f"{path}: is not valid YAML: {reason}; give a board file of Kalibr") from error
    if not isinstance(entries, dict) or "target_type" not in entries:
        raise ConfigError(f"{path}: has no target_type; give a board file of Kalibr (aprilgrid, checkerboard or circlegrid)")
    for name, value in entries.items():
        if any(not isinstance(part, str) or len(part) > _MOST_CHARACTERS for part in (name, value)):
            what = name if isinstance(name, str) and len(name) <= _MOST_CHARACTERS else "a setting"
            raise ConfigError(
                f"{path}: {what} is no single value of at most {_MOST_CHARACTERS} characters; give a board file of Kalibr"
            )
    return _fields(path, entries)


def _fields(path: str | Path, entries: dict[str, str]) -> dict[str, Any]:
    kind = entries["target_type"]
    if kind not in ("aprilgrid", "checkerboard", "circlegrid"):
        raise ConfigError(f"{path}: unknown target_type {_shown(kind)}; it must be aprilgrid, checkerboard or circlegrid")
    if kind == "aprilgrid":
        tag_m, ratio = _number(path, entries, "tagSize"), _number(path, entries, "tagSpacing")
        if entries.get("codeOffset", "0") != "0":
            raise ConfigError(
                f"{path}: codeOffset is {_shown(entries['codeOffset'])}; only boards whose first tag is 0 are understood"
            )
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
    word = entries.get("asymmetricGrid", "false").lower()
    if word not in _TRUE + _FALSE:
        raise ConfigError(f"{path}: asymmetricGrid is {_shown(word)}; it must be true or false")
    return {"kind": "acircles" if word in _TRUE else "circles", **counts, "square_m": _number(path, entries, "spacingMeters")}


def _count(path: str | Path, entries: dict[str, str], name: str) -> int:
    value = _number(path, entries, name)
    if value != int(value):
        raise ConfigError(f"{path}: {name} is {value:g}; it must be a whole number")
    return int(value)


def _number(path: str | Path, entries: dict[str, str], name: str) -> float:
    if name not in entries:
        raise ConfigError(f"{path}: {name} is missing; the {entries['target_type']} needs it")
    try:
        value = float(entries[name])
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise ConfigError(f"{path}: {name} is {_shown(entries[name])}; it must be a number > 0")
    return value


def _shown(word: str) -> str:
    """A value for a message of one line."""
    return word if re.fullmatch(r"[\w.+-]+", word) else repr(word)
