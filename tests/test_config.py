"""Settings files: every mistake at once with its place, exact round trips, and nothing accepted that was not meant."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from calib.config import dump_config, load_config, override, parse_config
from calib.errors import ConfigError, InputError, UsageError


def between(low: float, high: float) -> Callable[[float], str | None]:
    return lambda value: None if low <= value <= high else f"must be in [{low:g}, {high:g}]"


@dataclass(frozen=True, slots=True)
class Matcher:
    p1: Annotated[int, between(1, 64)] = 16
    p2: Annotated[int, between(1, 176)] = 144
    tolerance: float = 0.5
    refine: Literal["parabola", "plane"] = "plane"
    paths: Literal[4, 8] = 8

    def __post_init__(self) -> None:
        if self.p1 > self.p2:
            raise ValueError(f"p1 is {self.p1} and p2 {self.p2}; p1 must not exceed p2")


@dataclass(frozen=True, slots=True)
class Run:
    baseline_m: float
    matcher: Matcher = field(default_factory=Matcher)
    search_range: tuple[int, int] | None = None
    name: str = ""
    is_dry: bool = False
    matrix: tuple[tuple[float, ...], ...] = ()
    folder: Path | None = None
    notes: dict[str, str] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)
    limit: int | Literal["auto"] = "auto"


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Run, source="run.yaml")
    return str(caught.value).splitlines()


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        """# comment
baseline_m: 0.12
matcher: {p1: 8, refine: parabola}
search_range: [-40, 88]
name: no
is_dry: true
matrix:
  - [1, 2.5]
  - [1e-3, -.5]
folder: out/a
notes: {tool: x, "1": 2024-01-01}
steps: [3, 4]
limit: 7
""",
        encoding="utf-8-sig",
    )
    run = load_config(path, Run)
    assert run == Run(
        0.12,
        Matcher(p1=8, refine="parabola"),
        (-40, 88),
        "no",
        True,
        ((1.0, 2.5), (0.001, -0.5)),
        Path("out/a"),
        {"tool": "x", "1": "2024-01-01"},
        [3, 4],
        7,
    )
    assert type(run.baseline_m) is float


def test_every_mistake_at_once_with_its_place() -> None:
    text = """\
matcher:
  p1: ten
  p3: 4
  refine: plain
  paths: 6
  tolerance: .nan
search_range: [-40]
is_dry: yes
nmae: x
matrix: [[1, x]]
steps: 3
p2: 5
limit: soon
is_dry: true
"""
    assert mistakes(text) == [
        "run.yaml:1:1: baseline_m: missing; expected a number",
        "run.yaml:2:7: matcher.p1: expected a whole number, got 'ten'",
        "run.yaml:3:3: matcher.p3: unknown setting; did you mean 'matcher.p2'?",
        "run.yaml:4:11: matcher.refine: must be one of parabola, plane, got 'plain'; did you mean 'plane'?",
        "run.yaml:5:10: matcher.paths: must be one of 4, 8, got '6'",
        "run.yaml:6:14: matcher.tolerance: expected a number, got '.nan'; it must be finite",
        "run.yaml:7:15: search_range: expected a list [...] of 2, each a whole number, got a list of 1",
        "run.yaml:8:9: is_dry: expected true or false, got 'yes'",
        "run.yaml:9:1: nmae: unknown setting; did you mean 'name'?",
        "run.yaml:10:14: matrix[0][1]: expected a number, got 'x'",
        "run.yaml:11:8: steps: expected a list [...], each a whole number, got '3'",
        "run.yaml:12:1: p2: unknown setting; did you mean 'matcher.p2'?",
        "run.yaml:13:8: limit: expected a whole number or one of auto, got 'soon'",
        "run.yaml:14:1: is_dry: given twice (first in line 8); remove one",
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("200", "matcher.p2: must be in [1, 176], got '200'"),
        ("1.5", "expected a whole number, got '1.5'"),
        ("'96'", "expected a whole number, got '96'; remove the quotes"),
        ("010", "expected a whole number, got '010'"),
        ("12:30", "expected a whole number, got '12:30'"),
        ("true", "expected a whole number, got 'true'"),
        ("", "expected a whole number, got nothing"),
        ("[1]", "expected a whole number, got a list of 1"),
        ("{a: 1}", "expected a whole number, got a section of 1"),
        ("9" * 5000, "expected a whole number, got '999"),
    ],
)
def test_what_is_no_whole_number(value: str, words: str) -> None:
    (line,) = mistakes(f"baseline_m: 1\nmatcher:\n  p2: {value}\n")
    assert line.startswith("run.yaml:3:")
    assert words in line


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 1e-3), ("1E5", 1e5), ("-.5e+2", -50.0), ("3", 3.0), ("+7.", 7.0), ("0x1", None)]
)
def test_numbers_are_read_as_numbers(text: str, value: float | None) -> None:
    """PyYAML itself takes 1e-3 for text."""
    if value is None:
        assert "expected a number" in mistakes(f"baseline_m: {text}")[0]
    else:
        assert parse_config(f"baseline_m: {text}", Run).baseline_m == value


@pytest.mark.parametrize("text", [".inf", "-.inf", "nan", "inf", "1e999"])
def test_numbers_are_finite(text: str) -> None:
    assert "baseline_m: expected a number" in mistakes(f"baseline_m: {text}")[0]


def test_a_section_that_contradicts_itself_is_named_at_its_place() -> None:
    assert mistakes("baseline_m: 1\nmatcher:\n  p1: 60\n  p2: 50\n") == [
        "run.yaml:3:3: matcher: p1 is 60 and p2 50; p1 must not exceed p2"
    ]


@pytest.mark.parametrize(
    "text", ["baseline_m: 1\nmatcher:\n", "baseline_m: 1\nmatcher: {}", "baseline_m: 1\nsearch_range: ~\nfolder: null"]
)
def test_empty_sections_give_defaults(text: str) -> None:
    assert parse_config(text, Run) == Run(1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "settings: baseline_m: missing"),
        ("# nothing", "baseline_m: missing"),
        ("3", "expected settings written `name: value`, got '3'"),
        ("- a\n- b", "expected settings written `name: value`, got a list of 2"),
        ("a: &x 1\nb: *x", "1:4: anchors (&) and aliases (*) are not supported"),
        ("<<: *x", "anchors (&) and aliases (*)"),
        ("baseline_m: !!float 3", "tags such as tag:yaml.org,2002:float are not supported"),
        ("baseline_m: !!python/object/apply:os.system ['false']", "tags such as"),
        (
            "matcher:\n\tp1: 3",
            "2:1: is not valid YAML: found character that cannot start any token; indent with spaces, not tabs",
        ),
        ("a: [1", "is not valid YAML"),
        ("a: 1\n---\nb: 2", "is not valid YAML: but found another document"),
        ("a: \x01", "is not valid YAML"),
        ("[" * 5000, "1:21: nested deeper than 20 levels"),
        ("? [a, b]\n: 1", "the name of a setting must be a word"),
    ],
)
def test_yaml_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Run)
    assert words in str(caught.value)


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    start = time.perf_counter()
    with pytest.raises(ConfigError, match="anchors"):
        parse_config(bomb, Run)
    assert time.perf_counter() - start < 2.0


def test_files_that_cannot_be_settings(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text("# " + "x" * 1_100_000)
    with pytest.raises(InputError, match="too many for a settings file"):
        load_config(tmp_path / "big.yaml", Run)
    (tmp_path / "latin.yaml").write_bytes(b"baseline_m: 1\nname: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin.yaml:2:1: byte 0xe9 is not UTF-8"):
        load_config(tmp_path / "latin.yaml", Run)
    with pytest.raises(InputError, match="not found"):
        load_config(tmp_path / "missing.yaml", Run)


def test_override_applies_and_checks_everything_together() -> None:
    run = Run(0.1)
    changed = override(
        run, ["matcher.p1=50", "matcher.p1=60", "matcher.p2=61", "search_range=[-40, 88]", "name=a: b, [c", "folder=x"]
    )
    assert changed == Run(0.1, Matcher(p1=60, p2=61), (-40, 88), "a: b, [c", folder=Path("x"))
    assert override(changed, ["search_range=null"]).search_range is None
    assert override(run, []) == run
    assert run == Run(0.1)


def test_override_names_every_mistake() -> None:
    with pytest.raises(UsageError) as caught:
        override(Run(0.1), ["matcher.p3=5", "p2=5", "matcher.p2=ten", "matcher.p2=500", "matcher", "matcher.refine=plan"])
    assert str(caught.value).splitlines() == [
        "matcher.p3=5: unknown setting; did you mean 'matcher.p2'?",
        "p2=5: unknown setting; did you mean 'matcher.p2'?",
        "matcher.p2=ten: expected a whole number, got 'ten'",
        "matcher.p2=500: must be in [1, 176], got '500'",
        "matcher: a setting is written NAME=VALUE",
        "matcher.refine=plan: must be one of parabola, plane, got 'plan'; did you mean 'plane'?",
    ]


def test_override_that_contradicts_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"matcher\.p1=60 matcher\.p2=50: p1 is 60 and p2 50"):
        override(Run(0.1), ["matcher.p1=60", "matcher.p2=50"])


def test_dump_is_stable_and_explained() -> None:
    run = Run(1e-5, search_range=(-3, 4), name="yes", matrix=((1.0, 2.0), (3.0, 1e22)), notes={"a b": "c: d"})
    assert dump_config(run, comments={"": "head", "matcher.p2": "two\nlines", "matrix": "rows"}) == (
        """\
# head
baseline_m: 1.0e-05
matcher:
  p1: 16
  # two
  # lines
  p2: 144
  tolerance: 0.5
  refine: plane
  paths: 8
search_range: [-3, 4]
name: "yes"
is_dry: false
# rows
matrix:
  - [1.0, 2.0]
  - [3.0, 1.0e+22]
folder: null
notes:
  a b: "c: d"
steps: []
limit: auto
"""
    )


finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
runs = st.builds(
    Run,
    baseline_m=finite,
    matcher=st.builds(Matcher, p1=st.integers(1, 64), p2=st.integers(64, 176), tolerance=finite, paths=st.sampled_from([4, 8])),
    search_range=st.none() | st.tuples(st.integers(), st.integers(-5, 5)).map(lambda t: (t[0] % 10**20, t[1])),
    name=texts,
    is_dry=st.booleans(),
    matrix=st.lists(st.lists(finite, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple),
    folder=st.none() | st.sampled_from([Path("a"), Path("/x y/ü"), Path("null"), Path("~")]),
    notes=st.dictionaries(texts, texts, max_size=4),
    steps=st.lists(st.integers(-1000, 1000), max_size=4),
    limit=st.integers(0, 9) | st.just("auto"),
)


@given(run=runs)
@settings(max_examples=200, deadline=None)
def test_round_trip_is_exact(run: Run) -> None:
    text = dump_config(run)
    assert parse_config(text, Run) == run
    assert dump_config(parse_config(text, Run)) == text


@given(run=runs)
@settings(max_examples=100, deadline=None)
def test_other_yaml_readers_see_the_same_values(run: Run) -> None:
    plain: dict[str, Any] = yaml.safe_load(dump_config(run))
    assert plain["baseline_m"] == run.baseline_m
    assert type(plain["baseline_m"]) is float
    assert plain["name"] == run.name
    assert plain["notes"] == run.notes
    assert plain["matrix"] == [list(row) for row in run.matrix]
    assert plain["matcher"]["tolerance"] == run.matcher.tolerance


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="settings are finite"):
        dump_config(Run(math.nan))
