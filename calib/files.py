"""Outputs that are complete or absent: written under a temporary name beside their place, flushed to disk, then renamed."""

import atexit
import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from calib.errors import InputError, OutputError

_TEMPORARY_PREFIX = ".partial-"

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another place",
    errno.EFBIG: "the file would be larger than the system allows here; choose another place",
    errno.EACCES: "permission denied; choose a place where you may write",
    errno.EPERM: "permission denied; choose a place where you may write",
    errno.EROFS: "this place is read-only; choose another one",
    errno.ENOENT: "its folder does not exist; create it first",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another place",
    errno.EISDIR: "this is a folder; give a file name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; rename it to `path` when the block ends well, remove it otherwise.

    The temporary file has the suffix of `path`, so that libraries which look at the suffix write the right format. The data are
    on the disk before the rename, therefore a file with its final name is always complete. A symbolic link at `path` is
    replaced, not followed.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    OutputError
        The place is a folder or a device, its folder does not exist, the disk is full, nothing was written ...
    """
    target = Path(path)
    _refuse_special(target)
    temporary = target.with_name(f"{_TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{target.suffix}")
    try:
        if not target.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "") if target.parent.exists() else FileNotFoundError(errno.ENOENT, "")
        yield temporary
        if not temporary.is_file():
            raise OutputError(f"{target}: cannot be written: nothing arrived in its temporary file; check the disk and try again")
        _flush(temporary)
        temporary.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {_advice(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file of bytes; see `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole file as UTF-8 with plain newlines; see `atomic_path`."""
    write_bytes(path, text.encode("utf-8"))


def output_folder(path: str | Path) -> Path:
    """The folder for results, created with its parents where needed, and proven writable.

    Raises
    ------
    OutputError
        The place is a file, or nothing can be created in it.
    """
    folder = Path(path)
    probe = folder / f"{_TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file, but results go into a folder; choose another name or remove the file")
        folder.mkdir(parents=True, exist_ok=True)
        # Only a trial tells: permission bits say nothing of read-only file systems or of root.
        probe.touch(exist_ok=False)
        probe.unlink()
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder}: cannot hold results: {_advice(error)}") from error
    return folder


def cache_folder(name: str) -> Path:
    """Where a cache of this name lies: in `STEREO_CACHE_DIR`, else in the user's cache folder; not created.

    A user without a home, as in a container, gets a folder of his own among the temporary files. Others can write there, and what
    lies in a cache is believed, even run: it is used only where it belongs to this user and nobody else may write into it.
    """
    root = os.environ.get("STEREO_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    if root:
        return Path(root) / name
    try:
        return Path.home() / ".cache" / name
    except RuntimeError:
        return _private_temporary_folder(Path(tempfile.gettempdir())) / name


@cache
def _private_temporary_folder(parent: Path) -> Path:
    """A folder for this user only, the same for all runs; one for this run where somebody else holds its name."""
    user = os.getuid() if hasattr(os, "getuid") else None
    folder = parent / f"stereo-{'user' if user is None else user}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()  # a link is not followed
        if stat.S_ISDIR(status.st_mode) and (user is None or (status.st_uid == user and not status.st_mode & 0o077)):
            return folder
    folder = Path(tempfile.mkdtemp(prefix="stereo-", dir=parent))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def output_file(path: str | Path) -> Path:
    """The place of a result, proven fit before the work: not a folder or a device, in a folder that is created where needed.

    Raises
    ------
    OutputError
    """
    target = Path(path)
    _refuse_special(target)
    output_folder(target.parent)
    return target


def refuse_overwriting(outputs: Iterable[str | Path], inputs: Iterable[str | Path]) -> None:
    """Refuse results that would replace a file they are made from. Call it before the first result is written.

    Parameters
    ----------
    outputs : paths to be written; those that do not exist yet are fine
    inputs : paths that are read; those that do not exist are left to their reader

    Raises
    ------
    OutputError
        An output is the same file as an input (links followed), or a name that the system cannot hold.
    """
    known = [(Path(each), status) for each in inputs if (status := _status(Path(each))) is not None]
    for output in map(Path, outputs):
        try:
            status = output.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise OutputError(f"{output}: cannot be written: {_advice(error)}") from error
        for source, other in known:
            if os.path.samestat(status, other):
                named = "" if source == output else f" ({source})"
                raise OutputError(f"{output}: would overwrite an input{named}; nothing was written; choose another place")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from error
    return digest.hexdigest()


def read_bytes(path: str | Path, *, kind: str = "file", limit_bytes: int | None = None) -> bytes:
    """All bytes of a regular file; one that is missing, a folder, a device, empty or too large is refused.

    Parameters
    ----------
    path : str or Path
    kind : str
        what the file should be, in words, for the messages
    limit_bytes : int, optional
        largest size accepted

    Raises
    ------
    InputError
    """
    source = Path(path)
    article = "an" if kind[:1] in "aeiou" else "a"
    try:
        status = source.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{source}: is a folder, not {article} {kind}; give one file")
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device could wait for ever
            raise InputError(f"{source}: is a pipe or a device, not {article} {kind}; give a plain file")
        if status.st_size == 0:
            raise InputError(f"{source}: is empty (0 bytes); copy or record the {kind} again")
        if limit_bytes is not None and status.st_size > limit_bytes:
            megabytes, limit = status.st_size / 1e6, limit_bytes / 1e6
            raise InputError(f"{source}: has {megabytes:.3g} MB, too many for a {kind} (limit {limit:.3g} MB)")
        return source.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{source}: not found; {nearby(source)}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: cannot be read: {_reason(error)}") from error


def nearby(path: Path) -> str:
    """Advice for a file that is not there."""
    from difflib import get_close_matches

    try:
        if not path.parent.is_dir():
            return f"its folder {path.parent} does not exist either; check the path"
        close = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], 1)
    except OSError:
        close = []
    return f"did you mean {close[0]!r}?" if close else "check the path"


def _refuse_special(target: Path) -> None:
    """A rename onto /dev/null would replace the device itself; a folder cannot be replaced by a file."""
    try:
        mode = target.lstat().st_mode
        if stat.S_ISLNK(mode) and target.is_dir():
            mode = target.stat().st_mode
    except (OSError, ValueError) as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return
        raise OutputError(f"{target}: cannot be written: {_advice(error)}") from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"{target}: cannot be written: {_ADVICE[errno.EISDIR]}")
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise OutputError(f"{target}: cannot be written: it is a pipe or a device; give a plain file")


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can (folders cannot be opened on Windows)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _advice(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return _ADVICE.get(number or 0, _reason(error))


def _reason(error: Exception) -> str:
    """The system's words, without the number and the path that `str` adds."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
