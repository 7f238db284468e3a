"""What both command lines share: parsing with suggestions, one-line errors with exit codes, notes and progress.

Imports nothing heavy, because `--help` must answer at once.
"""

import argparse
import errno
import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from calib.errors import OutputError, ResourceError, StereoError, UsageError

_INTERRUPTED = 130
_TERMINATED = 128 + signal.SIGTERM
_READER_GONE = 141  # 128 + SIGPIPE: what a shell reports for any program whose reader went away
_NEGATIVE = re.compile(r"-\.?\d")


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UsageError` with a suggestion and takes no abbreviated options.

    Subparsers made with `add_subparsers()` are of this class too. Abbreviations are refused because a script that uses one
    breaks when a later version adds a similar option.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(*arguments, **options)

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` where `argparse` would print the usage and leave."""
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; unknown options are named with the closest known ones."""
        words = list(sys.argv[1:] if args is None else args)
        found, unknown = self.parse_known_args(words, namespace)
        if unknown:
            parser = _chosen(self, words)
            known = [option for action in parser._actions for option in action.option_strings]
            options = [word.split("=")[0] for word in unknown if word.startswith("-")]
            if options:  # words after them may well be their values
                parser.error("; ".join(f"unknown option {option}{_suggestion(option, known)}" for option in options))
            parser.error(f"unexpected argument {' '.join(unknown)}")
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            what = "command" if isinstance(action, argparse._SubParsersAction) else "value"
            raise argparse.ArgumentError(
                None if what == "command" else action,
                f"unknown {what} {str(value)!r}{_suggestion(str(value), choices)} (known: {', '.join(choices)})",
            )


def run_command(build_parser: Callable[[], argparse.ArgumentParser], argv: Sequence[str] | None, *, program: str) -> int:
    """Parse `argv`, call `args.run(args)` and return the exit code; the only place that turns errors into text.

    Parameters
    ----------
    build_parser : callable
        returns the parser (best a `Parser`); each command sets `run=function` with `set_defaults`. Every command gets `--debug`.
    argv : sequence of str or None
        the words after the program's name; None takes them from `sys.argv`
    program : str
        the name that starts each error line

    Returns
    -------
    int
        what `args.run` returns (None counts as 0), the `exit_code` of a `StereoError`, 130 when interrupted, 141 when the reader
        of the output went away, 143 when told to terminate, 5 without memory, 1 for a bug of ours
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name that is not valid text must not stop a message
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        with suppress(ValueError):  # not in the main thread: no signals there
            signal.signal(signal.SIGTERM, _terminate)
        parser = build_parser()
        _add_debug(parser)
        args = parser.parse_args(words)
        if not hasattr(args, "run"):
            _chosen(parser, words).print_help(sys.stderr)
            return UsageError.exit_code
        code = args.run(args)
        sys.stdout.flush()
    except SystemExit as leave:  # --help, --version, SIGTERM
        return leave.code if isinstance(leave.code, int) else 0
    except KeyboardInterrupt:
        _error(program, "interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes again at its end; without this it would complain about the same pipe.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except StereoError as error:
        if debug:
            traceback.print_exc()
        for line in str(error).splitlines() or [type(error).__name__]:
            _error(program, line)
        return error.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            with suppress(OSError):  # what the stream still holds would fail again at the interpreter's end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _error(program, "no space left where the output goes; free some, or write to another place")
            return OutputError.exit_code
        if _is_out_of_memory(error):
            _error(program, "not enough memory; use smaller images or a narrower search range, or close other programs")
            return ResourceError.exit_code
        first = (str(error).splitlines() or [""])[0]
        advice = "please report the lines above" if debug else "run again with --debug to see where, and please report it"
        _error(program, f"a bug in {program}, not a mistake of yours: {type(error).__name__}: {first}; {advice}")
        return 1
    return int(code or 0)


def add_version(parser: argparse.ArgumentParser, package: str) -> None:
    """Give a parser `--version`, which prints the name and `__version__` of a package and leaves."""
    parser.add_argument("--version", action=_Version, nargs=0, const=package, help="print the version and leave")


class _Version(argparse.Action):
    """`argparse` has its own, but it wants the version, and with it the package, before anyone asks."""

    def __call__(self, *_: object) -> None:
        sys.stdout.write(f"{self.const} {importlib.import_module(self.const).__version__}\n")
        sys.exit(0)


def parse_size(text: str | None, *, option: str = "--image-size") -> tuple[int, int] | None:
    """(width, height) in px from `640x480`; None for None.

    Raises
    ------
    UsageError
        Another form, or a side of zero.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,6})\s*x\s*(\d{1,6})", text.strip().lower(), re.ASCII)
    if found is None or 0 in (int(found[1]), int(found[2])):
        raise UsageError(f"{option} {text!r} is no size; write e.g. 640x480")
    return int(found[1]), int(found[2])


def announce(path: str | Path) -> None:
    """Say on standard output that a result was written."""
    sys.stdout.write(f"Wrote {path}\n")


def say(message: str) -> None:
    """Print a note for the user on standard error."""
    sys.stderr.write(f"{message}\n")


def join_negative_values(argv: Sequence[str], options: Sequence[str]) -> list[str]:
    """Join `--range -40:88` to `--range=-40:88`, which `argparse` alone takes for two options.

    Parameters
    ----------
    argv : sequence of str
    options : sequence of str
        the options whose value may start with a minus sign and a digit

    Returns
    -------
    list of str
    """
    joined: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*joined, word, *words]
        if joined and joined[-1] in options and _NEGATIVE.match(word):
            joined[-1] = f"{joined[-1]}={word}"
        else:
            joined.append(word)
    return joined


class Progress:
    """Progress of `total` steps: a bar on a terminal, otherwise one plain line on standard error per step.

    Use it as a context manager and call either `begin(label)` before each step, where steps are long and few, or
    `advance(label)` after each, where they are many and run side by side.
    """

    def __init__(self, total: int | None = None, title: str = "") -> None:
        self._total = total
        self._title = title
        self._done = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._title, total=self._total)
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, label: str) -> None:
        """Name the step that starts now; those before are finished."""
        self._show(label, finished=self._done)

    def advance(self, label: str = "") -> None:
        """Count one finished step."""
        self._show(label, finished=self._done + 1)

    def _show(self, label: str, *, finished: int) -> None:
        self._done += 1
        text = " ".join(part for part in (self._title, label) if part)
        if self._bar is not None:
            self._bar.update(self._task, completed=finished, description=text)
        else:
            of = "" if self._total is None else f"/{self._total}"
            say(f"[{self._done}{of}] {text}".rstrip())


def _terminate(number: int, frame: object) -> NoReturn:
    """Leave through the cleaning up that an exception gets: half-written files are removed."""
    raise SystemExit(_TERMINATED)


def _error(program: str, message: str) -> None:
    sys.stderr.write(f"{program}: error: {message}\n")


def _suggestion(word: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _chosen(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.ArgumentParser:
    """The innermost command's parser that the words select."""
    for word in words:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction) and word in action.choices:
                parser = action.choices[word]
                break
    return parser


def _all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in dict.fromkeys(action.choices.values()):
                yield from _all_parsers(child)


def _add_debug(parser: argparse.ArgumentParser) -> None:
    for each in _all_parsers(parser):
        if "--debug" not in each._option_string_actions:
            # SUPPRESS: a command's default would overwrite what was given before the command.
            each.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show where an error arose")


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    return type(error).__module__ == "cv2" and "Insufficient memory" in str(error)  # cv2 is too heavy to import here
