"""What `calib solve` prints: the report in lines for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from calib.describe import with_sigma

_MOST_PAIRS, _MOST_LEFT_OUT = 20, 10


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """A report of `calib.report.report_of` in lines: pairs (worst first), lens models, faults, notes, figures, verdict, poses."""
    return [
        *_pairs(report["pairs"]),
        "",
        *_candidates(report["candidates"]),
        "",
        *_faults(report["faults"]),
        *(f"note: {note}" for note in report["notes"]),
        *_figures(report),
        *_next_poses(report["next_poses"]),
        "",
        f"verdict: {report['verdict']}",
        *(f"  and {reason['text']}" for reason in report["reasons"][1:]),
    ]


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _pairs(pairs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    used = sorted((pair for pair in pairs if pair["used"]), key=lambda pair: -(pair["rms_px"] or 0.0))
    shown = used[:_MOST_PAIRS]
    width = max(len("pair"), *(len(pair["name"]) for pair in shown)) if shown else len("pair")
    yield f"{'pair':{width}}  both px  left px  right px  left out  detector"
    for pair in shown:
        out, count = (pair[f"{what}_left"] + pair[f"{what}_right"] for what in ("rejected", "corners"))
        how = dict.fromkeys(name for name in (pair["detector_left"], pair["detector_right"]) if name)
        yield (
            f"{pair['name']:{width}}  {_number(pair['rms_px']):>7}  {_number(pair['rms_left_px']):>7}"
            f"  {_number(pair['rms_right_px']):>8}  {out:>3} of {out + count:<4} {', '.join(how)}".rstrip()
        )
    if len(used) > len(shown):
        yield f"... and {len(used) - len(shown)} pairs with smaller errors"
    lost = [(i, pair) for i, pair in enumerate(pairs, 1) if not pair["used"]]
    for i, pair in lost[:_MOST_LEFT_OUT]:
        part = " as a pair" if pair["corners_left"] + pair["corners_right"] else ""
        yield f"note: pair {i} ({pair['name']}) left out{part}: {pair['problem']}"
    if len(lost) > _MOST_LEFT_OUT:
        yield f"note: {len(lost) - _MOST_LEFT_OUT} more pairs left out; see the report"
    mended = [(i, pair) for i, pair in enumerate(pairs, 1) if pair["repaired"]]
    for i, pair in mended[:_MOST_LEFT_OUT]:
        yield f"note: pair {i} ({pair['name']}): {pair['repair']}"
    if len(mended) > _MOST_LEFT_OUT:
        yield f"note: corner order repaired in {len(mended) - _MOST_LEFT_OUT} more pairs; see the report"


def _candidates(candidates: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "lens model  board   parameters  rms px  held out px"
    for one in candidates:
        mark = "  <- chosen" if one["chosen"] else ""
        note = f"  {one['note']}" if one["note"] else ""
        board = one["board"]
        yield (
            f"{one['model']:10}  {board:6}  {one['parameters']:10}  {_number(one['rms_px'], 4):>6}"
            f"  {_number(one['held_out_px'], 4):>11}{mark}{note}"
        )


def _faults(faults: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for fault in faults:
        names = fault["pairs"]
        where = f" [{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}]" if names else ""
        yield f"{fault['severity']}: {fault['name']}: {fault['message']}{where}"
        if fault["advice"]:
            yield f"  what to do: {fault['advice']}"


def _figures(report: Mapping[str, Any]) -> Iterator[str]:
    alone = (
        f"left alone {_number(report['mono_rms_left_px'])} px, right alone {_number(report['mono_rms_right_px'])} px (board flat)"
    )
    both = f"both cameras {_number(report['stereo_rms_px'])} px"
    yield (
        f"{report['pairs_used']} of {len(report['pairs'])} pairs; rms per corner: {both}, {alone};"
        f" {100.0 * report['rejected_share']:.2g} % of the corners left out"
    )
    values = {name: _with_sigma(entry) for name, entry in report["parameters"].items()}
    sigma = report["baseline_sigma_m"]
    baseline = with_sigma(1e3 * report["baseline_m"], float("nan") if sigma is None else 1e3 * sigma)
    focal = " and ".join(f"{values[f'{side}.focal_x_px']} px" for side in ("left", "right"))
    yield f"baseline {baseline} mm, focal lengths {focal}, lens model {report['model']}{board_words(report)}"


def _with_sigma(entry: Mapping[str, float | None]) -> str:
    value, sigma = entry["value"], entry["sigma"]
    assert value is not None
    return f"{value:.2f}" if sigma is None else with_sigma(value, sigma)


def board_words(report: Mapping[str, Any]) -> str:
    """What was found out about the board's shape, to follow a comma; empty for a flat one."""
    if report["board_shape"] == "flat":
        return ""
    x, y = report["warp_mm"]
    bow = f"bowed by {x:+.2f} and {y:+.2f} mm along x and y"
    if report["board_shape"] == "bowed":
        return f", board {bow}"
    return f", points of the board {report['board_off_mm']:.2f} mm rms off their places, {bow}"


def _next_poses(poses: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if poses:
        yield ""
        yield "pictures that would help most (fall of the depth error with each):"
    for i, pose in enumerate(poses, 1):
        yield f"  {i}. {pose['words']} (-{100.0 * pose['gain']:.0f} %)"
