"""Outputs are complete or absent, whatever goes wrong on the way."""

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from calib import files
from calib.errors import InputError, OutputError


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "out.tiff"
    with files.atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".tiff"
        temporary.write_bytes(b"data")
        assert not target.exists()
    assert target.read_bytes() == b"data"
    assert list(tmp_path.iterdir()) == [target]


def stop_half_way(target: Path, stop: type[BaseException]) -> None:
    with files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise stop


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    files.write_text(target, "old\n")
    with pytest.raises(ZeroDivisionError):
        stop_half_way(target, ZeroDivisionError)
    assert target.read_text() == "old\n"
    files.write_text(target, "né\n")
    assert target.read_bytes() == "né\n".encode()
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interruption_leaves_nothing(tmp_path: Path, stop: type[BaseException]) -> None:
    with pytest.raises(stop):
        stop_half_way(tmp_path / "out", stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_system_errors_are_explained_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=f"out.bin: cannot be written: .*{words}"):
        files.write_bytes(tmp_path / "out.bin", b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_file_above_the_systems_limit_is_refused(tmp_path: Path) -> None:
    """A real short write: the process may write 1000 bytes to a file, the file needs 100 000."""
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from calib import files\nfrom calib.errors import OutputError\n"
        "try: files.write_bytes(sys.argv[1], bytes(100_000))\n"
        "except OutputError as error: print(error)"
    )
    target = tmp_path / "big.bin"
    done = subprocess.run([sys.executable, "-c", program, str(target)], capture_output=True, text=True, check=True)
    assert "larger than the system allows" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing arrived"), files.atomic_path(tmp_path / "out"):
        pass


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for target, words in (
        (tmp_path / "no" / "out", "its folder does not exist; create it first"),
        (tmp_path / "file" / "out", "is a file, not a folder"),
        (tmp_path, "this is a folder; give a file name"),
        (Path(os.devnull), "pipe or a device"),
        (tmp_path / ("x" * 300), "name is too long"),
    ):
        with pytest.raises(OutputError, match=words):
            files.write_text(target, "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_longest_name_works_for_its_temporary_too(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 251 + ".txt")
    files.write_text(target, "data")
    assert target.read_text() == "data"


def test_a_symbolic_link_is_replaced_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("keep")
    link = tmp_path / "link"
    link.symlink_to(outside)
    files.write_text(link, "new")
    assert outside.read_text() == "keep"
    assert link.read_text() == "new"
    assert not link.is_symlink()


def test_output_folder_makes_parents_and_leaves_no_trace(tmp_path: Path) -> None:
    folder = files.output_folder(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert list(folder.iterdir()) == []
    assert files.output_folder(folder) == folder


def test_output_folder_refuses_a_file_and_places_nobody_may_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file, but results go into a folder"):
        files.output_folder(tmp_path / "file")
    with pytest.raises(OutputError, match=r"below: cannot hold results|is a file"):
        files.output_folder(tmp_path / "file" / "below")
    if Path("/proc/self").is_dir():  # nobody, root included, makes files here
        with pytest.raises(OutputError, match="cannot hold results"):
            files.output_folder("/proc/self/results")
    with pytest.raises(OutputError, match="null"):
        files.output_folder("a\0b")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_output_folder_refuses_a_locked_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"):
        files.output_folder(tmp_path)
    tmp_path.chmod(0o700)


def test_sha256(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000  # longer than one piece
    (tmp_path / "x").write_bytes(data)
    assert files.sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()
    with pytest.raises(InputError, match="cannot be read"):
        files.sha256(tmp_path / "missing")


def test_read_bytes_refuses_what_is_no_plain_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "good.yaml").write_text("x" * 2000)
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("missing", "not found; check the path"),
        ("good.yml", "did you mean 'good.yaml'"),
        ("no/such", "its folder .* does not exist"),
        ("good.yaml/x", "not found"),
        ("empty", "is empty"),
        ("pipe", "is a pipe or a device"),
        (".", "is a folder"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(InputError, match=words):
            files.read_bytes(tmp_path / name)
    with pytest.raises(InputError, match=r"has 0.002 MB, too many for a rig \(limit 0.001 MB\)"):
        files.read_bytes(tmp_path / "good.yaml", kind="rig", limit_bytes=1000)
    assert files.read_bytes(tmp_path / "good.yaml", limit_bytes=2000) == b"x" * 2000


@pytest.mark.parametrize("way", ["same", "dotted", "symbolic", "hard"])
def test_an_output_that_is_an_input_is_refused(tmp_path: Path, way: str) -> None:
    (tmp_path / "folder").mkdir()
    source, output = tmp_path / "left.png", tmp_path / "other.png"
    source.write_bytes(b"photo")
    if way == "same":
        output = source
    elif way == "dotted":
        output = tmp_path / "folder" / ".." / "left.png"
    elif way == "symbolic":  # the input is the link: its target is what would be lost
        source.rename(output)
        source.symlink_to(output)
    else:
        os.link(source, output)
    with pytest.raises(OutputError, match=r"would overwrite an input.*choose another place"):
        files.refuse_overwriting([tmp_path / "new.png", output], [tmp_path / "absent.png", source])


def test_other_outputs_are_allowed(tmp_path: Path) -> None:
    for name in ("left.png", "old.png"):
        (tmp_path / name).write_bytes(b"equal bytes are not one file")
    absent = tmp_path / "absent.png"
    files.refuse_overwriting([absent, tmp_path / "old.png"], [absent, tmp_path / "left.png", tmp_path / ("x" * 300)])
    with pytest.raises(OutputError, match="the name is too long"):
        files.refuse_overwriting([tmp_path / ("x" * 300)], [tmp_path / "left.png"])


def _homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_caches_lie_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_CACHE_DIR", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert files.cache_folder("things") == tmp_path / "a" / "things"
    monkeypatch.delenv("STEREO_CACHE_DIR")
    assert files.cache_folder("things") == tmp_path / "b" / "things"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert files.cache_folder("things") == Path.home() / ".cache" / "things"
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners and permissions of files")
@pytest.mark.parametrize("trap", ["none", "open to others", "a link", "somebody else's"])
def test_without_a_home_a_cache_is_the_users_alone(trap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STEREO_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", _homeless)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    usual = tmp_path / f"stereo-{os.getuid()}"
    if trap == "open to others":
        usual.mkdir()
        usual.chmod(0o777)
    elif trap == "a link":
        (tmp_path / "trap").mkdir(mode=0o700)
        usual.symlink_to(tmp_path / "trap")
    elif trap == "somebody else's":
        usual.mkdir(mode=0o700)
        other = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: other)
        usual = usual.rename(tmp_path / f"stereo-{os.getuid()}")
    found = files.cache_folder("things")
    assert found.name == "things"
    assert found == files.cache_folder("things")
    assert found.parent.parent == tmp_path
    assert found.parent.stat().st_mode & 0o777 == 0o700
    assert (found.parent == usual) == (trap == "none")
