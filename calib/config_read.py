"""Builds a schema's value from YAML's nodes (one half of `calib.config`). All mistakes are collected, each with its place."""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from calib.config_write import scalar_text
from calib.errors import ConfigError, StereoError

BAD: Any = object()
"""stands for a value that could not be built"""

_LIMIT_DEPTH = 20
_NULLS = frozenset({"", "~", "null", "Null", "NULL", "none", "None"})
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9]\d{0,30})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "nothing (null)",
}


class Problems:
    """Mistakes found so far, each with its place."""

    def __init__(self, source: str, *, with_places: bool = True) -> None:
        self.source = source
        self._with_places = with_places
        self.found: list[tuple[int, int, str]] = []

    def add(self, mark: Any, key: str, text: str) -> None:
        """Note a mistake; the mark is where YAML saw it (None: nowhere in particular)."""
        line, column = (0, 0) if mark is None or not self._with_places else (mark.line + 1, mark.column + 1)
        place = f"{self.source}:{line}:{column}: " if line else f"{self.source}: "
        self.found.append((line, column, f"{place}{key}: {text}" if key else f"{place}{text}"))

    def trial(self) -> "Problems":
        """An empty list for the same source."""
        return Problems(self.source, with_places=self._with_places)

    def raise_if_any(self) -> None:
        """Raise `ConfigError` with one line per mistake, in the order of the file."""
        if self.found:
            raise ConfigError("\n".join(text for _, _, text in sorted(self.found, key=lambda each: each[:2])))


def compose(text: str, problems: Problems, *, with_tags: bool = False) -> Any:
    """YAML's tree of nodes; None for an empty text, `BAD` after noting what is wrong with it. Tags are refused by default."""
    import yaml

    before = len(problems.found)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where it is built in
    try:
        depth = 0
        for event in yaml.parse(text, loader):  # before composing, which recurses and expands aliases
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _LIMIT_DEPTH:
                problems.add(event.start_mark, "", f"nested deeper than {_LIMIT_DEPTH} levels")
                return BAD
            tag = getattr(event, "tag", None)
            if getattr(event, "anchor", None) is not None:
                problems.add(event.start_mark, "", "anchors (&) and aliases (*) are not supported; write the value out")
            elif tag is not None and not with_tags:
                problems.add(event.start_mark, "", f"tags such as {tag} are not supported; write the plain value")
        return BAD if len(problems.found) > before else yaml.compose(text, loader)
    except yaml.YAMLError as error:
        mark, words = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        tab = mark is not None and text.splitlines()[mark.line : mark.line + 1] and "\t" in text.splitlines()[mark.line]
        advice = "; indent with spaces, not tabs" if tab else ""
        problems.add(mark, "", f"is not valid YAML: {words or str(error).splitlines()[0]}{advice}")
        return BAD


def build(node: Any, hint: Any, key: str, problems: Problems) -> Any:
    """The value of a node as the type `hint`, or `BAD` after noting why not."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        value = build(node, arguments[0], key, problems)
        for check in filter(callable, arguments[1:]):
            if value is not BAD and (text := check(value)):
                problems.add(_mark(node), key, f"{text}, got {_shown(node)}")
                return BAD
        return value
    if dataclasses.is_dataclass(hint):
        return _build_section(node, typing.cast(type, hint), key, problems)
    if origin in (types.UnionType, typing.Union):
        return _build_union(node, hint, key, problems)
    if origin is typing.Literal:
        return _build_literal(node, arguments, key, problems)
    if origin in (tuple, list):
        return _build_sequence(node, hint, key, problems)
    if origin is dict:
        return _build_dict(node, arguments[1], key, problems)
    if hint not in _NAMES:
        raise TypeError(f"{key}: settings of type {hint} are not supported")
    if not _is_scalar(node):
        return _wrong(node, hint, key, problems)
    try:
        return _scalar(node.value, bool(node.style), hint)
    except ValueError as error:
        return _wrong(node, hint, key, problems, str(error))


def _scalar(text: str, is_quoted: bool, hint: Any) -> Any:
    """The value of one word; ValueError holds advice."""
    if hint in (str, Path):
        if not is_quoted and text in _NULLS:
            raise ValueError("quote it if it is meant as text" if text else "")
        return hint(text)
    if is_quoted:
        raise ValueError("remove the quotes")
    if hint is bool and text in _WORDS:
        return _WORDS[text]
    if hint is int and _INTEGER.fullmatch(text):
        return int(text)
    if hint is float and _FLOAT.fullmatch(text):
        if math.isfinite(value := float(text)):
            return value
        raise ValueError("it is too large")
    if hint is type(None) and text in _NULLS:
        return None
    raise ValueError("it must be finite" if hint is float and text.lower().strip("-+.") in ("nan", "inf", "infinity") else "")


def _build_section(node: Any, schema: type, key: str, problems: Problems) -> Any:
    before = len(problems.found)
    hints = typing.get_type_hints(schema, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(schema) if field.init}
    got: dict[str, Any] = {}
    for name, name_node, value_node in _entries(node, key, problems):
        if name in fields:
            got[name] = build(value_node, hints[name], _join(key, name), problems)
        else:
            paths = dict.fromkeys([*fields, *(path for path, _ in leaves(schema))])
            advice = suggest(_join(key, name), [_join(key, path) for path in paths], list(fields))
            problems.add(_mark(name_node), _join(key, name), f"unknown setting{advice}")
    for field in fields.values():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.name not in got and not has_default:
            problems.add(_mark(node), _join(key, field.name), f"missing; expected {_describe(hints[field.name])}")
    if len(problems.found) > before:
        return BAD
    try:
        return schema(**got)
    except (ValueError, StereoError) as error:
        problems.add(_mark(node), key, str(error))
        return BAD


def _entries(node: Any, key: str, problems: Problems) -> Iterator[tuple[str, Any, Any]]:
    """(name, its node, value node) of a mapping; names given twice or that are no plain words are noted and left out."""
    import yaml

    if node is None:  # an empty file
        return
    if not isinstance(node, yaml.MappingNode):
        if not (_is_scalar(node) and not node.style and node.value in _NULLS):  # `matcher:` with nothing below it: all defaults
            problems.add(_mark(node), key, f"expected settings written `name: value`, got {_shown(node)}")
        return
    seen: dict[str, int] = {}
    for name_node, value_node in node.value:
        if not _is_scalar(name_node):
            problems.add(_mark(name_node), key, "the name of a setting must be a word")
            continue
        name = name_node.value
        if name in seen:
            problems.add(_mark(name_node), _join(key, name), f"given twice (first in line {seen[name]}); remove one")
            continue
        seen[name] = name_node.start_mark.line + 1
        yield name, name_node, value_node


def _build_union(node: Any, hint: Any, key: str, problems: Problems) -> Any:
    trials = []
    for option in typing.get_args(hint):
        trial = problems.trial()
        value = build(node, option, key, trial)
        if value is not BAD and not trial.found:
            return value
        if option is not type(None):
            trials.append(trial)
    if len(trials) == 1:  # `X | None`: what is wrong with X says most
        problems.found += trials[0].found
        return BAD
    return _wrong(node, hint, key, problems)


def _build_literal(node: Any, choices: tuple[Any, ...], key: str, problems: Problems) -> Any:
    if _is_scalar(node):
        for choice in choices:
            try:
                if _scalar(node.value, bool(node.style), type(choice)) == choice:
                    return choice
            except ValueError:
                continue
    words = [scalar_text(choice) for choice in choices]
    advice = suggest(node.value if _is_scalar(node) else "", words, None)
    problems.add(_mark(node), key, f"must be one of {', '.join(words)}, got {_shown(node)}{advice}")
    return BAD


def _build_sequence(node: Any, hint: Any, key: str, problems: Problems) -> Any:
    import yaml

    origin, hints = typing.get_origin(hint), list(typing.get_args(hint))
    if not isinstance(node, yaml.SequenceNode):
        return _wrong(node, hint, key, problems)
    if origin is list or hints[-1] is Ellipsis:
        hints = hints[:1] * len(node.value)
    if len(node.value) != len(hints):
        return _wrong(node, hint, key, problems)
    values = [build(each, kind, f"{key}[{i}]", problems) for i, (each, kind) in enumerate(zip(node.value, hints, strict=True))]
    return BAD if any(value is BAD for value in values) else origin(values)


def _build_dict(node: Any, hint: Any, key: str, problems: Problems) -> Any:
    before = len(problems.found)
    values = {name: build(value, hint, _join(key, name), problems) for name, _, value in _entries(node, key, problems)}
    return BAD if len(problems.found) > before else values


def _wrong(node: Any, hint: Any, key: str, problems: Problems, advice: str = "") -> Any:
    problems.add(_mark(node), key, f"expected {_describe(hint)}, got {_shown(node)}{'; ' if advice else ''}{advice}")
    return BAD


def _describe(hint: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _describe(arguments[0])
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_describe(each) for each in arguments)
    if origin is typing.Literal:
        return f"one of {', '.join(scalar_text(each) for each in arguments)}"
    if origin is list or (origin is tuple and arguments[-1] is Ellipsis):
        return f"a list [...], each {_describe(arguments[0])}"
    if origin is tuple:
        if len(set(arguments)) == 1:
            return f"a list [...] of {len(arguments)}, each {_describe(arguments[0])}"
        return f"a list [...] of {len(arguments)}: {', '.join(_describe(each) for each in arguments)}"
    return _NAMES.get(hint, "a section of settings")


def _shown(node: Any) -> str:
    if not _is_scalar(node):
        return "nothing" if node is None else f"a {'list' if node.id == 'sequence' else 'section'} of {len(node.value)}"
    text = node.value if len(node.value) <= 40 else node.value[:37] + "..."
    return repr(text) if text or node.style else "nothing"


def _is_scalar(node: Any) -> bool:
    return getattr(node, "id", None) == "scalar"


def _mark(node: Any) -> Any:
    return None if node is None else node.start_mark


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def suggest(name: str, candidates: list[str], known: list[str] | None) -> str:
    """`; did you mean ...`, by the whole name or by its last part; otherwise the known names."""
    from difflib import get_close_matches

    close = get_close_matches(name, candidates, 1)
    last = {path.rsplit(".", 1)[-1]: path for path in candidates}
    close = close or [last[each] for each in get_close_matches(name.rsplit(".", 1)[-1], list(last), 1)]
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""


def leaves(schema: type) -> Iterator[tuple[str, Any]]:
    """(dotted name, type) of every setting that is not itself a section."""
    hints = typing.get_type_hints(schema, include_extras=True)
    for field in dataclasses.fields(typing.cast(Any, schema)):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from ((_join(field.name, path), kind) for path, kind in leaves(typing.cast(type, hint)))
        elif field.init:
            yield field.name, hint
