"""Who hears of a run while it goes on, and log.jsonl: timings and messages, the only result that differs from run to run."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calib import files
from stereo.run_settings import printable


def _nothing(_: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of a run while it goes on."""

    step: Callable[[str], None] = _nothing
    """a step of `stereo.pipeline.STEPS` that starts now"""
    note: Callable[[str], None] = _nothing
    """something a person should know, in one line"""
    wrote: Callable[[str], None] = _nothing
    """the path of a finished file"""


@dataclass(slots=True)
class RunLog:
    """Collects timings and messages for log.jsonl and passes them on."""

    listener: Listener
    notes: list[str] = field(default_factory=list)
    _entries: list[dict[str, Any]] = field(default_factory=list)
    _started: float = field(default_factory=time.time)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce and time a step; one that fails leaves no time."""
        self.listener.step(name)
        begin = time.perf_counter()
        yield
        self._entries.append({"event": "step", "name": name, "seconds": round(time.perf_counter() - begin, 4)})

    def note(self, text: str) -> None:
        """Something that belongs to the result and stands in its report."""
        self.notes.append(text)
        self._entries.append({"event": "note", "text": text})
        self.listener.note(text)

    def say(self, text: str) -> None:
        """Something about this run alone."""
        self._entries.append({"event": "message", "text": text})
        self.listener.note(text)

    def wrote(self, path: Path) -> None:
        """A result is in its place."""
        self._entries.append({"event": "wrote", "file": path.name, "bytes": path.stat().st_size})
        self.listener.wrote(str(path))

    def save(self, path: Path) -> None:
        """Write log.jsonl."""
        start = {"event": "start", "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started))}
        lines = [json.dumps(entry, ensure_ascii=False) for entry in [start, *self._entries]]
        files.write_text(path, printable("".join(f"{line}\n" for line in lines)))
        self.listener.wrote(str(path))


def files_written(path: Path) -> set[str]:
    """Names of the results that a log.jsonl lists; none where there is no such log."""
    try:
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        entries = [json.loads(line) for line in lines]
    except (OSError, ValueError, RecursionError):  # somebody else's file
        return set()
    wrote = [entry for entry in entries if isinstance(entry, dict) and entry.get("event") == "wrote"]
    return {entry["file"] for entry in wrote if isinstance(entry.get("file"), str)}
