"""Writes a schema's instance as YAML (one half of `calib.config`)."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Plain in YAML and the same text again when read by any YAML 1.1 or 1.2 reader; everything else is quoted.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+-]+)*")
_NOT_PLAIN = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})


def dump_config(instance: Any, *, comments: Mapping[str, str] | None = None) -> str:
    """YAML of a schema's instance, fields in their declared order; `parse_config` gives an equal instance back, bit for bit.

    Parameters
    ----------
    instance : dataclass instance
    comments : mapping of str to str, optional
        dotted setting -> words written above it as `# ...`; the key "" is for the head of the file
    """
    notes = dict(comments or {})
    lines = [*_comment(notes.get("", ""), ""), *_mapping_lines(_fields(instance), "", "", notes)]
    return "\n".join(lines) + "\n"


def _fields(instance: Any) -> dict[str, Any]:
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance) if field.init}


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}".rstrip() for line in text.splitlines()]


def _mapping_lines(entries: Mapping[str, Any], key: str, indent: str, notes: Mapping[str, str]) -> Iterator[str]:
    for name, value in entries.items():
        path = f"{key}.{name}" if key else name
        yield from _comment(notes.get(path, ""), indent)
        head = f"{indent}{scalar_text(name)}:"
        if dataclasses.is_dataclass(value) or (isinstance(value, Mapping) and value):
            yield head
            section = value if isinstance(value, Mapping) else _fields(value)
            yield from _mapping_lines(section, path, indent + "  ", notes)
        elif isinstance(value, (tuple, list)) and any(isinstance(each, (tuple, list)) for each in value):
            yield head
            yield from (f"{indent}  - {_flow(each)}" for each in value)
        else:
            yield f"{head} {_flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_flow(each) for each in value)}]"
    if isinstance(value, Mapping) and not value:
        return "{}"
    return scalar_text(value)


def scalar_text(value: Any) -> str:
    """One value as YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float_text(float(value))
    if isinstance(value, (str, Path)):
        text = str(value)
        if _PLAIN.fullmatch(text) and text.lower() not in _NOT_PLAIN:
            return text
        import yaml

        return yaml.safe_dump(text, default_style='"', width=math.inf, allow_unicode=True).rstrip("\n")
    raise TypeError(f"a setting of type {type(value).__name__} cannot be written: {value!r}")


def _float_text(value: float) -> str:
    """The shortest text that gives the same double, in the form that YAML 1.1 readers too take for a number."""
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written; settings are finite")
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
