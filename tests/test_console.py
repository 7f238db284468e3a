"""What a user sees at the command line: one line and an exit code for each kind of mishap."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calib import console, errors
from calib.console import Parser, Progress, add_version, join_negative_values, parse_size, run_command


def build(action: Callable[[argparse.Namespace], int | None] | None = None) -> Callable[[], Parser]:
    def made() -> Parser:
        parser = Parser(prog="stereo", description="test")
        commands = parser.add_subparsers(dest="command", metavar="COMMAND")
        run = commands.add_parser("run", help="run it")
        run.add_argument("left")
        run.add_argument("--preset", choices=["fast", "balanced"])
        run.add_argument("--range")
        run.set_defaults(run=action or (lambda args: None))
        commands.add_parser("demo", help="show it").set_defaults(run=action or (lambda args: None))
        return parser

    return made


def fail(error: BaseException) -> Callable[[argparse.Namespace], int | None]:
    def action(args: argparse.Namespace) -> int | None:
        raise error

    return action


def test_the_command_gets_its_arguments_and_gives_its_code() -> None:
    seen: list[argparse.Namespace] = []

    def action(args: argparse.Namespace) -> int:
        seen.append(args)
        return 8

    assert run_command(build(action), ["run", "a.png", "--range=-3:4"], program="stereo") == 8
    assert (seen[0].left, seen[0].range) == ("a.png", "-3:4")


@pytest.mark.parametrize(
    "kind",
    [
        errors.UsageError,
        errors.ConfigError,
        errors.InputError,
        errors.CalibrationError,
        errors.ResourceError,
        errors.OutputError,
        errors.QualityError,
    ],
)
def test_each_error_is_one_line_and_its_code(kind: type[errors.StereoError], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(build(fail(kind("x.png: is empty"))), ["demo"], program="stereo") == kind.exit_code
    out = capsys.readouterr()
    assert out.err == "stereo: error: x.png: is empty\n"
    assert out.out == ""


def test_several_mistakes_are_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    run_command(build(fail(errors.ConfigError("a:1:1: one\na:2:1: two"))), ["demo"], program="stereo")
    assert capsys.readouterr().err == "stereo: error: a:1:1: one\nstereo: error: a:2:1: two\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rnu"], "unknown command 'rnu'; did you mean 'run'? (known: run, demo); see `stereo --help`"),
        (["run", "x", "--prest", "fast"], "unknown option --prest; did you mean '--preset'?; see `stereo run --help`"),
        (["run", "x", "--pre=fast"], "unknown option --pre"),
        (["run", "x", "--preset", "fats"], "unknown value 'fats'; did you mean 'fast'? (known: fast, balanced)"),
        (["run"], "the following arguments are required: left; see `stereo run --help`"),
        (["run", "x", "y"], "unexpected argument y; see `stereo run --help`"),
        (["run", "x", "--range"], "argument --range: expected one argument"),
    ],
)
def test_slips_on_the_command_line_get_a_suggestion(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(build(), words, program="stereo") == 2
    err = capsys.readouterr().err
    assert err.startswith("stereo: error: ")
    assert expected in err
    assert err.count("\n") == 1


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(build(), [], program="stereo") == 2
    assert "usage: stereo" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["demo", "-h"]])
def test_help_names_debug_everywhere(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(build(), words, program="stereo") == 0
    assert "--debug" in capsys.readouterr().out


def test_a_bug_is_admitted_and_shown_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    bug = build(fail(ZeroDivisionError("division by zero\nmore")))
    assert run_command(bug, ["demo"], program="stereo") == 1
    err = capsys.readouterr().err
    assert "a bug in stereo, not a mistake of yours: ZeroDivisionError: division by zero; run again with --debug" in err
    assert err.count("\n") == 1
    for words in (["demo", "--debug"], ["--debug", "demo"]):
        assert run_command(bug, words, program="stereo") == 1
        assert "Traceback" in capsys.readouterr().err


def test_debug_shows_where_a_users_error_arose(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(build(fail(errors.InputError("bad"))), ["demo", "--debug"], program="stereo") == 3
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("stereo: error: bad\n")


def test_interruption_and_memory_have_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(build(fail(KeyboardInterrupt())), ["demo"], program="stereo") == 130
    assert capsys.readouterr().err == "stereo: error: interrupted\n"
    assert run_command(build(fail(MemoryError())), ["demo"], program="stereo") == 5
    assert "not enough memory" in capsys.readouterr().err


def test_opencvs_lack_of_memory_counts_too(capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    error = cv2.error("OpenCV: (-4:Insufficient memory) Failed to allocate 99 bytes in function 'OutOfMemoryError'")
    assert run_command(build(fail(error)), ["demo"], program="stereo") == 5
    assert "not enough memory" in capsys.readouterr().err


def test_a_plain_argument_parser_works_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: argparse.ArgumentParser(prog="stereo"), ["--bad"], program="stereo") == 2
    assert "--bad" in capsys.readouterr().err


PROGRAM = """
import sys
from calib.console import Parser, announce, run_command
def run(args):
    for i in range(100000): announce(i)
def build():
    parser = Parser(prog="p"); parser.set_defaults(run=run); return parser
sys.exit(run_command(build, [], program="p"))
"""


def test_a_reader_that_goes_away_is_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "Wrote 0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_termination_cleans_up(tmp_path: Path) -> None:
    program = """
import sys, time
from calib.console import Parser, announce, run_command
from calib.files import atomic_path
def run(args):
    with atomic_path(sys.argv[1]) as temporary:
        temporary.write_text("half"); announce(temporary); sys.stdout.flush(); time.sleep(60)
def build():
    parser = Parser(prog="p"); parser.set_defaults(run=run); return parser
sys.exit(run_command(build, [], program="p"))
"""
    with subprocess.Popen([sys.executable, "-c", program, tmp_path / "out"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Wrote")
        process.terminate()
        assert process.wait() == 143
    assert list(tmp_path.iterdir()) == []


def test_help_loads_nothing_heavy() -> None:
    program = """
import sys
import calib, calib.config
from calib.console import Parser, run_command
code = run_command(lambda: Parser(prog="p"), ["--help"], program="p")
heavy = {"numpy", "cv2", "scipy", "numba", "rich", "open3d", "yaml"} & set(sys.modules)
sys.exit(str(heavy) if heavy else code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_messages_survive_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    odd = os.fsdecode(b"odd-\xff.png")
    program = PROGRAM.replace("for i in range(100000): announce(i)", f"announce({odd!r}); raise StereoError({odd!r})")
    program = "from calib.errors import StereoError\n" + program
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert b"Wrote odd-" in done.stdout
    assert b"p: error: odd-" in done.stderr
    assert done.returncode == 1


def test_announce_and_say_keep_results_and_notes_apart(capsys: pytest.CaptureFixture[str]) -> None:
    console.announce(Path("a") / "b.png")
    console.say("corner order repaired in pair 11")
    out = capsys.readouterr()
    assert out.out == f"Wrote {Path('a') / 'b.png'}\n"
    assert out.err == "corner order repaired in pair 11\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--range", "-40:88", "x"], ["run", "--range=-40:88", "x"]),
        (["--range", "-.5:8"], ["--range=-.5:8"]),
        (["--range=-40:88"], ["--range=-40:88"]),
        (["--range", "4:88"], ["--range", "4:88"]),
        (["--range", "--preset", "fast"], ["--range", "--preset", "fast"]),
        (["--other", "-4"], ["--other", "-4"]),
        (["--", "--range", "-4:4"], ["--", "--range", "-4:4"]),
        (["--range"], ["--range"]),
        ([], []),
    ],
)
def test_negative_values_are_joined_to_their_option(words: list[str], expected: list[str]) -> None:
    assert join_negative_values(words, ["--range"]) == expected


def test_progress_is_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(2, "matching") as progress:
        progress.advance("a.png")
        progress.advance()
    with Progress() as progress:
        progress.advance("x")
    assert capsys.readouterr().err == "[1/2] matching a.png\n[2/2] matching\n[1] x\n"


def test_progress_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream: Any = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with Progress(2, "matching") as progress:
        progress.advance("first")
        console.say("a note")
        progress.advance("[a].png")  # square brackets are no markup
    text = stream.getvalue()
    assert "matching [a].png" in text
    assert "a note" in text


@pytest.mark.parametrize("package", ["calib", "stereo"])
def test_the_version_is_that_of_the_package(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    import importlib

    def parser() -> Parser:
        made = Parser(prog="other")
        add_version(made, package)
        return made

    assert run_command(parser, ["--version"], program="other") == 0
    assert capsys.readouterr().out == f"{package} {importlib.import_module(package).__version__}\n"


def test_sizes_are_width_x_height() -> None:
    assert parse_size(None) is None
    assert parse_size("640x480") == (640, 480)
    assert parse_size(" 640 X 480 ") == (640, 480)


@pytest.mark.parametrize("text", ["", "640", "640x", "x480", "640x480x3", "0x480", "-640x480", "640.5x480", "٦x٤", "9999999x1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(errors.UsageError, match=r"^--size '.*' is no size; write e\.g\. 640x480$"):
        parse_size(text, option="--size")


def test_no_two_errors_share_a_code_that_scripts_read() -> None:
    """7 stays free for batches; a settings file is a kind of usage."""
    codes = {kind: kind.exit_code for kind in errors.StereoError.__subclasses__()}
    assert sorted(codes.values()) == [2, 3, 4, 5, 6, 8]
    assert errors.ConfigError.exit_code == errors.UsageError.exit_code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_output_is_no_bug() -> None:
    command = [sys.executable, "-m", "calib.cli", "show", str(Path(__file__).parents[1] / "data" / "room" / "rig.yaml")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 6
    assert done.stderr == "calib: error: no space left where the output goes; free some, or write to another place\n"
