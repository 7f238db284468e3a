"""`rig.report.html`: a calibration on one page that needs no network. The same calibration gives the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calib import files, plots, quality_plots, residual_plots, rig_picture
from calib.describe import with_sigma
from calib.geometry import Array
from calib.quality_plots import length_label
from calib.report_text import board_words
from calib.solve import SolveResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PAIRS = 40
_MEANINGLESS = 0.5
_PLUS_MINUS = "\u00b1"
_STRUCTURES = {"left lens": "left image: lens", "right lens": "right image: lens", "board": "board: bent or misprinted"}


def report_html(result: SolveResult, report: Mapping[str, Any]) -> str:
    """The report of a calibration as one HTML file with everything inside.

    Parameters
    ----------
    result : SolveResult
    report : dict
        `calib.report.report_of(result, ...)`: the tables show its numbers.

    Returns
    -------
    str
        Self-contained: plots are inline SVG, there are no scripts and no links.
    """
    import jinja2
    import markupsafe

    template = resources.files("calib").joinpath("templates", "report.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    figures = {name: markupsafe.Markup(text) for name, text in _figures(result).items()}
    text = environment.from_string(template).render(**_content(report), figures=figures)
    return _printable(text) + "\n"


def save_report_page(path: str | Path, result: SolveResult, report: Mapping[str, Any]) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    files.write_text(path, report_html(result, report))


def _figures(result: SolveResult) -> dict[str, str]:
    fit, quality = result.fit, result.quality
    rms = residual_plots.view_rms_px(fit)
    worse = np.where(np.isnan(rms).all(1), np.nan, np.nan_to_num(rms, nan=-np.inf).max(1))
    drawings: dict[str, Callable[[], Figure]] = {
        "rig": lambda: rig_picture.rig_figure(fit.rig, board_m=_outline(fit.board_m), poses=fit.poses, errors_px=worse.tolist()),
        "coverage": lambda: residual_plots.coverage_figure(fit),
        "pairs": lambda: residual_plots.pair_bars_figure(fit),
        "field": lambda: residual_plots.field_figure(fit),
        "worst": lambda: residual_plots.worst_views_figure(fit),
        "scatter": lambda: residual_plots.scatter_figure(fit),
        "board": lambda: residual_plots.board_figure(fit),
    }
    if quality.depth:
        drawings["depth_curve"] = lambda: quality_plots.depth_curve_figure(fit.rig, matching_px=quality.sigma_disparity_px)
        depths = [row.depth_m for row in quality.depth]
        shown = sorted({depths[min(1, len(depths) - 1)], depths[-1]})
        drawings["depth_maps"] = lambda: quality_plots.depth_maps_figure(fit.rig, shown)
    if result.next_poses:
        drawings["next_poses"] = lambda: quality_plots.next_poses_figure(fit.rig, result.next_poses)
    with plots.style():
        return {name: plots.svg(draw(), prefix=f"{name}-") for name, draw in drawings.items()}


def _outline(board_m: Array) -> Array:
    """(4, 3) rectangle around the board's points."""
    (x0, y0, _), (x1, y1, _) = board_m.min(0), board_m.max(0)
    return np.array([[x0, y0, 0.0], [x1, y0, 0.0], [x1, y1, 0.0], [x0, y1, 0.0]])


def _content(report: Mapping[str, Any]) -> dict[str, Any]:
    grade = report["grade"]
    size, target = " x ".join(map(str, report["image_size"])), report["target"]["text"]
    pairs = _pairs(report["pairs"])
    inputs = [(entry["name"], entry["sha256"]) for entry in report["inputs"]]
    return {
        "title": target,
        "lead": f"{report['pairs_used']} of {len(report['pairs'])} pairs, {size} px, board {target}",
        "grade": grade,
        "verdict": _typeset(report["verdict"].removeprefix(f"{grade}: ")),
        "reasons": [_typeset(reason["text"]) for reason in report["reasons"]],
        "faults": [_fault(fault) for fault in report["faults"] if fault["severity"] != "mention"],
        "mentions": [_fault(fault) for fault in report["faults"] if fault["severity"] == "mention"],
        "key_figures": _key_figures(report),
        "notes": [_typeset(note) for note in report["notes"]],
        "matching": f"{report['matching_sigma_px']:g}",
        "depths": [_depth(row) for row in report["depth"]],
        "next_poses": [f"{pose['words']} (\u2212{100.0 * pose['gain']:.0f}\u00a0%)" for pose in report["next_poses"]],
        "coverage": _coverage(report["coverage"]),
        "pairs": pairs[:_MOST_PAIRS],
        "pairs_hidden": max(0, len(pairs) - _MOST_PAIRS),
        "structures": [
            (_STRUCTURES.get(row["what"], row["what"]), number(row["rms_px"], 3), number(row["z"], 1))
            for row in report["structure"]
        ],
        "candidates": [
            {**row, "rms": number(row["rms_px"], 4), "held_out": number(row["held_out_px"], 4)} for row in report["candidates"]
        ],
        "numbers": _numbers(report["parameters"]),
        "command": report["command"] or "calib.solve_rig(views)",
        "options": list(report["options"].items()),
        "versions": list(report["versions"].items()),
        "inputs": inputs,
    }


def number(value: float | None, digits: int) -> str:
    """With so many digits after the point; a dash where unknown."""
    return "\u2014" if value is None else f"{value:.{digits}f}"


def _typeset(text: str) -> str:
    """Words made for a terminal, with the signs that a page can show."""
    return text.replace("+-", _PLUS_MINUS)


def _key_figures(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    baseline = f"{1e3 * report['baseline_m']:.2f} mm"
    if report["baseline_sigma_m"] is not None:
        baseline = f"{with_sigma(1e3 * report['baseline_m'], 1e3 * report['baseline_sigma_m'], sign=_PLUS_MINUS)} mm"
    rows = report["held_out_rows"]
    held = (
        "too few pairs to leave any out"
        if rows is None
        else f"rms in pairs that the rig did not know; median {rows['median_px']:.3f}"
    )
    alone = f"{number(report['mono_rms_left_px'], 3)} and {number(report['mono_rms_right_px'], 3)}"
    board = board_words(report).removeprefix(", ") or "board taken as flat"
    return [
        (
            "RMS per corner",
            f"{report['stereo_rms_px']:.3f} px",
            f"both cameras together; each alone {alone}, the board taken as flat",
        ),
        ("Row error, held out", f"{number(report['held_out_row_error_px'], 3)} px", held),
        ("Baseline", baseline, "distance of the camera centres, one standard deviation"),
        (
            "Corners left out",
            f"{100.0 * report['rejected_share']:.2f} %",
            f"noise of the others {report['noise_px']:.3f} px along each axis",
        ),
        (
            "Pairs",
            f"{report['pairs_used']} of {len(report['pairs'])}",
            f"boards tilted by up to {number(report['coverage']['tilt_deg'], 0)} degrees to each other",
        ),
        ("Lens model", str(report["model"]), board),
        *_depth_keys(report),
    ]


def _depth_keys(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Depth errors at the two middle depths of the table."""
    return [
        (
            f"Depth at {row['depth_m']:g} m",
            _error(_both(row, "centre"), row["depth_m"]),
            f"in the middle, matching included; {_error(_both(row, 'corner'), row['depth_m'])} in the corners",
        )
        for row in report["depth"][1:3]
    ]


def _both(row: Mapping[str, Any], place: str) -> float | None:
    parts = [row[f"{place}_{part}_m"] for part in ("calibration", "matching")]
    return None if None in parts else float(np.hypot(*parts))


def _depth(row: Mapping[str, Any]) -> list[str]:
    cells = [f"{row['depth_m']:g} m"]
    for place in ("centre", "corner"):
        values = (row[f"{place}_calibration_m"], row[f"{place}_matching_m"], _both(row, place))
        cells += [_error(value, row["depth_m"]) for value in values]
    return cells


def _error(sigma_m: float | None, depth_m: float) -> str:
    """A standard deviation of depth; beyond half the depth the figure would mean nothing, since it holds for small errors."""
    if sigma_m is None:
        return "not seen by both"
    return f"{_PLUS_MINUS}\u00a0{length_label(sigma_m)}" if sigma_m < _MEANINGLESS * depth_m else "over half of it"


def _fault(fault: Mapping[str, Any]) -> dict[str, str]:
    where = fault["pairs"]
    named = ", ".join(where[:6]) + (f" and {len(where) - 6} more" if len(where) > 6 else "")
    figures = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in fault["evidence"].items()]
    return {
        **{key: _typeset(fault[key]) for key in ("name", "severity", "message", "advice")},
        "evidence": ", ".join(figures),
        "where": named,
    }


def _coverage(found: Mapping[str, Any]) -> str:
    shares = [(name, 100.0 * found[name]["share"], 100.0 * found[name]["hull_share"]) for name in ("left", "right")]
    parts = [
        f"{name} image: corners in {cells:.0f}\u00a0% of its cells, their hull covers {hull:.0f}\u00a0%"
        for name, cells, hull in shares
    ]
    ratio = (
        ""
        if found["depth_ratio"] is None
        else f"; the farthest corner was {found['depth_ratio']:.1f} times as far as the nearest"
    )
    return f"{parts[0].capitalize()}; {parts[1]}{ratio}."


def _pairs(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pairs that were not used, then the others, the worst first."""
    table = []
    for index, row in enumerate(rows):
        remarks = [row["problem"], row["repair"]]
        out, seen = row["rejected_left"] + row["rejected_right"], row["corners_left"] + row["corners_right"]
        table.append(
            {
                "number": index + 1,
                "name": row["name"],
                "used": row["used"],
                "left": number(row["rms_left_px"], 3),
                "right": number(row["rms_right_px"], 3),
                "rejected": f"{out} of {out + seen}",
                "remarks": "; ".join(remark for remark in remarks if remark),
                "order": (row["used"], -(row["rms_px"] or 0.0), index),
            }
        )
    return sorted(table, key=lambda row: row["order"])


def _numbers(found: Mapping[str, Mapping[str, float | None]]) -> list[dict[str, Any]]:
    """One table for each camera, the motion below the right one's."""
    columns = []
    for title, chosen in (
        ("Left camera", [name for name in found if name.startswith("left.")]),
        ("Right camera", [name for name in found if name.startswith("right.")]),
        ("Right camera against the left", [name for name in found if "." not in name]),
    ):
        rows = []
        for name in chosen:
            value, sigma = found[name]["value"], found[name]["sigma"]
            assert value is not None
            both = with_sigma(value, float("nan") if sigma is None else sigma, sign=_PLUS_MINUS).split(f" {_PLUS_MINUS} ")
            rows.append((name.split(".")[-1], both[0], both[1] if len(both) > 1 else "\u2014"))
        columns.append({"title": title, "rows": rows})
    return columns


def _printable(text: str) -> str:
    """Text that UTF-8 can hold: a file name may contain bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
