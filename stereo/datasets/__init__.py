"""Folders of stereo benchmarks, recognised by their layout: `find_pairs`."""

from collections.abc import Iterator
from pathlib import Path

from calib.errors import InputError
from calib.files import nearby
from stereo.datasets import scenes, trees
from stereo.datasets.entry import Entry as Entry
from stereo.datasets.entry import NonOcc as NonOcc
from stereo.datasets.entry import load_foreground as load_foreground
from stereo.datasets.entry import load_nonocc as load_nonocc
from stereo.datasets.entry import load_truth as load_truth

_DEPTH = 4
_HOLDERS = ("training", "train", "testing", "test", "val")
"""folders between a data set's name and its files; they do not become part of a pair's name"""


def find_pairs(folder: str | Path) -> list[Entry]:
    """The stereo pairs of a data set, or of a folder of data sets, sorted by name.

    Middlebury 2001, 2003, 2005, 2006, 2014, 2021 and its benchmark v3, ETH3D two-view, KITTI 2012 and 2015, SceneFlow and
    Sintel stereo are told apart by their layout, at most four folders deep. An image is opened only where its width tells the
    scale of the truth.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    list of Entry
        those without truth (test sets) included

    Raises
    ------
    InputError
        Not a folder, or of no layout that is known here.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(
            f"{root}: {'is a file; give the folder of a data set' if root.exists() else f'not found; {nearby(root)}'}"
        )
    try:
        entries = list(_search(root, "", _DEPTH))
    except OSError as error:
        raise InputError(f"{root}: cannot be searched: {error}") from error
    if not entries:
        raise InputError(
            f"{root}: looks like none of the data sets known here; expected one of: {'; '.join(scenes.HINT + trees.HINT)}"
        )
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{root}: holds two pairs named {double}; score their folders one by one")
    return sorted(entries, key=lambda entry: entry.name)


def _search(folder: Path, name: str, depth: int) -> Iterator[Entry]:
    """The pairs of a folder and, where it is none of the layouts itself, of those below."""
    here = list(trees.find(folder, name)) or list(scenes.find(folder, name or folder.name))
    yield from here
    if here or depth == 0:
        return
    for below in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        part = "" if below.name in _HOLDERS else below.name
        yield from _search(below, "/".join(each for each in (name, part) if each), depth - 1)
