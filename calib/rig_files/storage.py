"""OpenCV's FileStorage notations (YAML, JSON, XML) as plain dicts, lists and words, read without OpenCV.

OpenCV's own parser can crash the process on a damaged file; these three are the standard libraries' and PyYAML's.
"""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from calib.config_read import BAD, Problems, compose
from calib.errors import CalibrationError, ConfigError

_OLD_HEADER = re.compile(r"\A%YAML[^\n]*\n")  # `%YAML:1.0` is not YAML
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\.?(nan|inf)", re.ASCII | re.IGNORECASE)
_LIMIT_DEPTH = 20


def read_storage(text: str, path: Path) -> dict[str, Any]:
    """Top-level entries of a FileStorage text: nested dicts and lists of words.

    Raises
    ------
    CalibrationError
        The text is not well-formed; the message has the place.
    """
    start = text.lstrip()[:1]
    try:
        if start == "{":
            content = _words(json.loads(text))
        elif start == "<":
            content = _from_xml(text, path)
        else:
            problems = Problems(str(path))
            # The header's line is kept empty, so that the places in messages stay right.
            node = compose(_OLD_HEADER.sub("\n", text), problems, with_tags=True)
            problems.raise_if_any()
            content = {} if node is None or node is BAD else _from_yaml(node)
    except json.JSONDecodeError as error:
        raise CalibrationError(f"{path}:{error.lineno}:{error.colno}: is not valid JSON: {error.msg}") from error
    except ElementTree.ParseError as error:
        line, column = error.position
        raise CalibrationError(f"{path}:{line}:{column + 1}: is not valid XML: {str(error).split(':')[0]}") from error
    except ConfigError as error:
        raise CalibrationError(str(error)) from error
    except RecursionError as error:
        raise CalibrationError(f"{path}: is nested too deeply for a calibration") from error
    if not isinstance(content, dict):
        raise CalibrationError(f"{path}: holds no named entries")
    return content


def to_number(word: Any) -> float | None:
    """The number that a word stands for, with OpenCV's `.Nan` and `-.Inf`; None where it is no number."""
    if not isinstance(word, str) or not _NUMBER.fullmatch(word):
        return None
    return float(word.replace(".", "") if word[-1] in "nNfF" else word)


def _from_yaml(node: Any) -> Any:
    if node.id == "mapping":
        return {name.value: _from_yaml(value) for name, value in node.value if name.id == "scalar"}
    return [_from_yaml(each) for each in node.value] if node.id == "sequence" else node.value


def _words(value: Any) -> Any:
    """JSON's values with numbers as words, as the other two notations have them."""
    if isinstance(value, dict):
        return {name: _words(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_words(each) for each in value]
    return value if isinstance(value, str) else repr(value)


def _from_xml(text: str, path: Path) -> Any:
    if "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):  # no document types: entities can grow without bound
        raise CalibrationError(f"{path}: an XML calibration with a document type or entities is not read; remove them")
    return _element(ElementTree.fromstring(text), 0)


def _element(element: ElementTree.Element, depth: int) -> Any:
    if depth > _LIMIT_DEPTH:
        raise RecursionError
    children = list(element)
    if not children:
        words = (element.text or "").split()
        return words if len(words) != 1 or element.tag == "data" else words[0]
    if all(child.tag == "_" for child in children):
        return [_element(child, depth + 1) for child in children]
    return {child.tag: _element(child, depth + 1) for child in children}
