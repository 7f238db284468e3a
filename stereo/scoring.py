"""What `stereo score` does: measure files or a whole data set, and put the figures into a table and a JSON file."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calib import files
from calib.errors import InputError, StereoError
from calib.images import read_pair
from stereo.datasets import Entry, load_foreground, load_nonocc, load_truth
from stereo.encodings import Encoding, read_disparity, read_mask
from stereo.map_files import write_float_map
from stereo.maps import Float32
from stereo.matcher import match
from stereo.score import Benchmark, Region, Score, score

JSON_NAME, TABLE_NAME, MAPS_NAME = "scores.json", "scores.txt", "maps"
RESULT_SUFFIXES = (".tiff", ".tif", ".pfm", ".npy", ".png")
FILL_NOTE = "dense: holes filled like KITTI's development kit does, the lower neighbour on the row; sparse: as the map is"
_NOTES = {
    "middlebury": "middlebury sparse: bad-t in % of all known pixels; those without answer are `invalid`, not bad",
    "eth3d": "eth3d sparse: in % of the answered pixels",
    "kitti": "kitti sparse: in % of the answered pixels; D1: off by more than 3 px and by more than 5 %",
}
# (region, form, figure); `coverage` has no form
_COLUMNS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "middlebury": (
        ("nonocc", "sparse", "coverage"), ("nonocc", "sparse", "bad-1"), ("nonocc", "sparse", "bad-2"),
        ("nonocc", "dense", "bad-0.5"), ("nonocc", "dense", "bad-1"), ("nonocc", "dense", "bad-2"), ("nonocc", "dense", "avgerr"),
        ("all", "sparse", "coverage"), ("all", "sparse", "bad-2"), ("all", "dense", "bad-2"), ("all", "dense", "avgerr"),
    ),
    "kitti": (
        ("nonocc", "sparse", "coverage"), ("nonocc", "sparse", "out-3"), ("nonocc", "dense", "out-3"), ("nonocc", "dense", "D1"),
        ("all", "sparse", "coverage"), ("all", "sparse", "D1"), ("all", "dense", "out-3"), ("all", "dense", "D1"),
        ("bg", "dense", "D1"), ("fg", "dense", "D1"),
    ),
}  # fmt: skip
_COLUMNS["eth3d"] = _COLUMNS["middlebury"]


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of a data set and its score."""

    entry: Entry
    score: Score
    search_range: tuple[int, int] | None
    """px, of our own matching; None for results from files"""
    seconds: float | None
    """of our own matching"""


@dataclass(frozen=True, slots=True)
class Failure:
    """A pair that could not be scored, and why."""

    entry: Entry
    error: StereoError


def score_files(
    result: Path,
    truth: Path,
    *,
    mask: Path | None = None,
    benchmark: Benchmark = "middlebury",
    encoding: Encoding | None = None,
    truth_encoding: Encoding | None = None,
) -> Score:
    """Measure one file against another; see `stereo.score.score` and `stereo.encodings.read_disparity`."""
    truth_px = read_disparity(truth, truth_encoding)
    found = read_disparity(result, encoding)
    return score(found, truth_px, benchmark=benchmark, nonocc=None if mask is None else read_mask(mask))


def score_pairs(
    entries: Sequence[Entry],
    *,
    preset: str | None = None,
    search_range: tuple[int, int] | None = None,
    threads: int | None = None,
    results: Path | None = None,
    encoding: Encoding | None = None,
    maps: Path | None = None,
    begin: Callable[[str], None] = lambda label: None,
) -> tuple[list[Row], list[Failure]]:
    """Score every pair: our own match of it, or its file below `results`.

    Parameters
    ----------
    entries : sequence of Entry
        with truth
    preset, threads
        for `stereo.match`
    search_range
        for every pair; otherwise each data set's own, or found automatically where it has none
    results : Path, optional
        a folder of NAME.tiff, .tif, .pfm, .npy or .png, NAME as in the table
    encoding : Encoding, optional
        of results that are not floats
    maps : Path, optional
        folder into which our own maps are written
    begin
        called with the name of each pair before it starts

    Returns
    -------
    rows, failures
    """
    rows: list[Row] = []
    failures: list[Failure] = []
    for entry in entries:
        begin(entry.name)
        try:
            truth = load_truth(entry)
            chosen: tuple[int, int] | None = None
            seconds: float | None = None
            if results is None:
                pair = read_pair(entry.left, entry.right)
                start = time.perf_counter()
                found = match(*pair, search_range=search_range or entry.search_range, preset=preset, threads=threads)
                seconds, chosen = time.perf_counter() - start, found.search_range
                disparity: Float32 = found.disparity_px
                if maps is not None:
                    place = maps / f"{entry.name}.tiff"
                    files.output_folder(place.parent)
                    write_float_map(place, disparity)
            else:
                disparity = read_disparity(_result_file(results, entry), encoding)
            measured = score(
                disparity, truth, benchmark=entry.benchmark, nonocc=load_nonocc(entry, truth), foreground=load_foreground(entry),
                limits=entry.limits,
            )  # fmt: skip
            rows.append(Row(entry, measured, chosen, seconds))
        except StereoError as error:
            failures.append(Failure(entry, error))
    return rows, failures


def file_table(measured: Score) -> list[str]:
    """All figures of one map: a line per region and form."""
    figures = list(measured.regions["all"].dense)
    lines = ["".join([f"{'':16s}{'coverage':>9s}", *(f"{name:>{_width(name)}s}" for name in figures)])]
    for name, region in measured.regions.items():
        for form, values in (("sparse", region.sparse), ("dense", region.dense)):
            cells = (f"{values[key]:{_width(key)}.3f}" for key in figures)
            lines.append("".join([f"{name + ', ' + form:16s}{region.coverage_percent:9.2f}", *cells]))
    pixels = ", ".join(f"{region.pixels} {name}" for name, region in measured.regions.items())
    lines += [f"known pixels: {pixels}", FILL_NOTE, _NOTES[measured.benchmark]]
    if measured.enlarged > 1:
        lines.append(f"the map has 1/{measured.enlarged} of the truth's size and was enlarged as Middlebury's program does")
    return lines


def pairs_table(rows: Sequence[Row]) -> list[str]:
    """A line per pair and the plain mean, for each benchmark."""
    lines: list[str] = []
    for benchmark in dict.fromkeys(row.entry.benchmark for row in rows):
        some = [row for row in rows if row.entry.benchmark == benchmark]
        columns = [c for c in _COLUMNS[benchmark] if any(c[0] in row.score.regions for row in some)]
        name = max(20, *(len(row.entry.name) for row in some))
        widths = [
            max(len(figure), 7) + (4 if i and c[:2] != columns[i - 1][:2] else 2)
            for i, c in enumerate(columns)
            for figure in c[2:]
        ]
        groups = ""
        for i, (c, width) in enumerate(zip(columns, widths, strict=True)):
            new = i == 0 or c[:2] != columns[i - 1][:2]
            groups = groups.ljust(sum(widths[:i])) + (f"{'':{width - 7}s}{c[0]}, {c[1]}" if new else "")
        lines += ["" for _ in lines[:1]]
        lines.append(f"{benchmark:{name}s}{groups}".rstrip())
        lines.append("pair".ljust(name) + "".join(f"{c[2]:>{w}s}" for c, w in zip(columns, widths, strict=True)))
        table = [[_cell(row.score.regions, c) for c in columns] for row in some]
        for row, cells in zip(some, table, strict=True):
            lines.append(row.entry.name.ljust(name) + "".join(map(_shown, cells, widths)))
        if len(some) > 1:
            means = [_mean_of([cells[i] for cells in table]) for i in range(len(columns))]
            lines.append(f"mean of {len(some)}".ljust(name) + "".join(map(_shown, means, widths)))
            if any(None in cells for cells in table):
                lines.append("-: the data set does not tell; means are over the pairs that have the figure")
        lines.append(_NOTES[benchmark])
    return [*lines, FILL_NOTE]


def as_json(rows: Sequence[Row], failures: Sequence[Failure], *, source: str) -> str:
    """The content of `scores.json` for a data set."""
    pairs = [
        {
            "name": row.entry.name,
            "dataset": row.entry.dataset,
            "search_range": row.search_range,
            "seconds": None if row.seconds is None else round(row.seconds, 4),
            **row.score.as_json(),
        }
        for row in rows
    ]
    failed = [{"name": failure.entry.name, "error": str(failure.error)} for failure in failures]
    return _json({"format": "stereo-scores 1", "source": source, "fill": FILL_NOTE, "pairs": pairs, "failed": failed})


def file_json(measured: Score, *, result: Path, truth: Path) -> str:
    """The content of `scores.json` for one file."""
    head = {"format": "stereo-scores 1", "source": str(result), "truth": str(truth), "fill": FILL_NOTE}
    return _json(head | measured.as_json())


def write_scores(folder: Path, table: Sequence[str], text: str) -> list[Path]:
    """Write `scores.json` and `scores.txt`; the paths."""
    places = [files.output_folder(folder) / name for name in (JSON_NAME, TABLE_NAME)]
    files.write_text(places[0], text)
    files.write_text(places[1], "\n".join(table) + "\n")
    return places


def _result_file(folder: Path, entry: Entry) -> Path:
    for suffix in RESULT_SUFFIXES:
        if (place := folder / f"{entry.name}{suffix}").is_file():
            return place
    raise InputError(
        f"{folder / entry.name}: no result for this pair; name it {entry.name}.tiff ({', '.join(RESULT_SUFFIXES)} are read)"
    )


def _cell(regions: Mapping[str, Region], column: tuple[str, str, str]) -> float | None:
    name, form, figure = column
    if name not in regions:
        return None
    region = regions[name]
    if figure == "coverage":
        return region.coverage_percent
    return (region.sparse if form == "sparse" else region.dense)[figure]


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _shown(value: float | None, width: int) -> str:
    return f"{'-':>{width}s}" if value is None else f"{value:{width}.2f}"


def _width(name: str) -> int:
    return max(len(name) + 2, 9)


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
