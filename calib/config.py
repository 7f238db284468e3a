"""YAML -> nested frozen dataclasses, every mistake at once as `file:line:column: setting: what is wrong`, and back to YAML.

A schema is a dataclass whose fields have types from: bool, int, float, str, Path, None, `Literal`, `X | None` and other unions,
`tuple`, `list`, `dict[str, X]`, other such dataclasses, and `Annotated[X, check]` where `check(value)` returns None or what is
wrong in words. A ValueError or StereoError raised by `__post_init__` is reported at the place of that section.

Text is understood by the declared type, not by YAML's guesses: `1e-3` is a number where a number is wanted (PyYAML takes it for
text), `no` and `010` are text where text is wanted. Duplicate settings, aliases and tags are refused.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from calib import files
from calib.config_read import BAD, Problems, build, compose, leaves, suggest
from calib.config_write import dump_config as dump_config
from calib.errors import ConfigError, StereoError

Schema = TypeVar("Schema")

_LIMIT_BYTES = 1_000_000


def load_config(path: str | Path, schema: type[Schema]) -> Schema:
    """Read a YAML file into a schema.

    Parameters
    ----------
    path : str or Path
    schema : type
        a dataclass; see the module's description

    Raises
    ------
    InputError
        The file is missing, a folder, empty or larger than 1 MB.
    ConfigError
        One line for each mistake in it.
    """
    data = files.read_bytes(path, kind="settings file", limit_bytes=_LIMIT_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}:1: byte {data[error.start]:#04x} is not UTF-8 text; save the file as UTF-8") from error
    return parse_config(text, schema, source=str(path))


def parse_config(text: str, schema: type[Schema], *, source: str = "settings") -> Schema:
    """Read YAML text into a schema; `source` names it in messages. An empty text gives the defaults. See `load_config`."""
    problems = Problems(source)
    node = compose(text, problems)
    value = BAD if problems.found else build(node, schema, "", problems)
    problems.raise_if_any()
    return typing.cast(Schema, value)


def override(instance: Schema, assignments: Sequence[str]) -> Schema:
    """A copy of a schema's instance with settings such as `matcher.p2=64` applied; of two for one setting the last counts.

    Raises
    ------
    ConfigError
        One line for each assignment that names no setting (with the closest one) or holds a wrong value.
    """
    problems = Problems("", with_places=False)
    changes: dict[str, Any] = {}
    known = dict(leaves(type(instance)))
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        problems.source = assignment
        if not equals:
            problems.add(None, "", "a setting is written NAME=VALUE")
        elif name not in known:
            problems.add(None, "", f"unknown setting{suggest(name, list(known), list(known))}")
        else:
            value = text if known[name] is str else BAD  # text needs no quotes here
            if value is BAD and (node := compose(text, problems)) is not BAD:
                value = build(node, known[name], "", problems)
            if value is not BAD:
                changes[name] = value
    problems.raise_if_any()
    try:
        return typing.cast(Schema, _replace(instance, changes))
    except (ValueError, StereoError) as error:
        raise ConfigError(f"{' '.join(assignments)}: {error}") from error


def _replace(instance: Any, changes: Mapping[str, Any]) -> Any:
    """Apply dotted changes; each section is rebuilt once, so that its checks see all of them together."""
    here: dict[str, Any] = {}
    below: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        head, dot, rest = name.partition(".")
        if dot:
            below.setdefault(head, {})[rest] = value
        else:
            here[head] = value
    for head, part in below.items():
        here[head] = _replace(getattr(instance, head), part)
    return dataclasses.replace(instance, **here)
