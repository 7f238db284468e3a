"""`rig.report.json`: how a rig was found, how well it fits and what it is worth, for programs."""

import json
import math
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

import calib
from calib import files
from calib.coverage import Coverage
from calib.depth_sigma import depth_sigma
from calib.detection import BoardViews, PairView
from calib.fit import Fit
from calib.next_poses import NextPose
from calib.residual_tables import CornerErrors, ViewErrors, corner_errors, view_errors
from calib.rig import StereoRig
from calib.solve import SolveResult

if TYPE_CHECKING:
    from calib.faults_kinds import Fault

SCHEMA = 2
"""raised when a field changes its meaning or goes away; new fields may come at any time"""
_MAP_CELLS = (9, 7)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What makes a solution reproducible."""

    options: Mapping[str, str]
    """what was chosen on the command line, by the options' names without dashes"""
    words: Sequence[str] = ()
    """LEFT and RIGHT as they were given"""
    inputs: Sequence[tuple[str, str]] = ()
    """name and SHA-256 of each file"""

    @property
    def command(self) -> str:
        """The command line that does it again."""
        options = [part for name, value in self.options.items() for part in (f"--{name}", value)]
        return shlex.join(["calib", "solve", *self.words, *options, "-o", "rig.yaml"])


def record_of(words: Sequence[str], options: Mapping[str, str], inputs: Iterable[Path]) -> RunRecord:
    """The record of a run, with the hashes of its input files."""
    return RunRecord(options, tuple(words), tuple((path.name, files.sha256(path)) for path in inputs))


def report_path(rig_path: str | Path, suffix: str = ".json") -> Path:
    """Where the report of a rig goes: `rig.yaml` -> `rig.report.json`, or `rig.report.html`."""
    return Path(rig_path).with_suffix(f".report{suffix}")


def report_of(result: SolveResult, views: BoardViews | None = None, record: RunRecord | None = None) -> dict[str, Any]:
    """The report as plain values; lengths in metres unless the name says otherwise, null where something is unknown.

    Parameters
    ----------
    result : SolveResult
    views : BoardViews, optional
        What the solution was made from: detectors and reasons of images without a board.
    record : RunRecord, optional

    Returns
    -------
    dict
        ``schema``
            2; see `SCHEMA`.
        ``grade``, ``verdict``, ``reasons``
            "good", "usable" or "poor"; one line; what keeps it from a better grade: ``grade``, ``text``.
        ``stereo_rms_px``, ``mono_rms_left_px``, ``mono_rms_right_px``
            Per corner (both axes together) of kept corners: both cameras with one rig, each camera alone.
        ``held_out_row_error_px``, ``held_out_rows``
            rms difference of rows in pairs that the rig did not know; with ``rms_px``, ``median_px``, ``p95_px``, ``count``,
            ``folds`` (null with too few pairs).
        ``baseline_m``, ``baseline_sigma_m``
        ``rejected_share``
            Corners left out over corners seen.
        ``noise_px``, ``disagreement``, ``unsteady``
            Standard deviation of a corner along one axis; see `calib.fit.Fit`.
        ``model``
            Lens model.
        ``board_shape``, ``warp_mm``, ``board_off_mm``
            What the board was taken for ("flat", "bowed", "free"); its bow along x and y (0 for a flat one); how far its points
            lie from their places, rms (0 for a flat one).
        ``image_size``, ``image_size_right``
            [width, height] px.
        ``target``
            ``text`` for --target, ``kind``, ``columns``, ``rows``, ``square_m``.
        ``pairs_used``, ``pairs``
            Each with ``name``, ``used``, ``repaired`` (corner order), ``repair`` (how), ``detector_left``, ``detector_right``,
            ``rms_left_px``, ``rms_right_px``, ``rms_px``, ``corners_left``, ``corners_right`` (kept), ``rejected_left``,
            ``rejected_right``, ``problem`` (why it was not used).
        ``corners``
            ``left`` and ``right``: for each point of the board, in the target's order, over all pairs ``rms_px`` (kept corners,
            both axes together), ``mean_px`` ([x, y] of seen - predicted), ``rejected`` (how many were left out).
        ``candidates``
            Lens models tried: ``model``, ``warp``, ``parameters``, ``rms_px``, ``held_out_px``, ``chosen``, ``note``.
        ``faults``
            ``name``, ``severity`` (refused, warning, mended, mention), ``message``, ``advice``, ``evidence`` (figures by name),
            ``pairs`` (names; empty for all).
        ``coverage``
            ``left`` and ``right``: ``share`` of cells with a corner, ``hull_share``, ``counts`` (rows of cells);
            ``tilt_deg``, ``depth_ratio``.
        ``structure``
            Patterns in the residuals: ``what``, ``p_value``, ``z``, ``rms_px``.
        ``depth``, ``matching_sigma_px``
            Errors of depth: ``depth_m``, ``centre_calibration_m``, ``centre_matching_m``, ``corner_calibration_m``,
            ``corner_matching_m``, one standard deviation each; the matcher's error that was assumed.
        ``depth_map``
            The calibration's part of these errors over the left image (null without covariance): ``x_px`` (9), ``y_px`` (7),
            ``depths_m`` (D), ``sigma_m`` (D lists of 7 rows of 9; null where the right camera does not see the point).
        ``next_poses``
            Boards to hold next, the most helpful first: ``words``, ``gain`` (share by which it lowers the errors of depth, after
            those before it), ``sigma_before``, ``sigma_after`` (of depth over depth), ``left_outline_uv``, ``right_outline_uv``
            (px: top left, top right, bottom right, bottom left), ``R`` and ``t_m`` (x_left = R x_board + t).
        ``parameters``
            The rig's numbers by name (`calib.covariance`): ``value``, ``sigma``.
        ``notes``
            Sentences for a person, without those that are a fault's message.
        ``options``, ``command``, ``inputs``, ``versions``
            How to repeat it; ``inputs`` with ``name`` and ``sha256``.
    """
    fit, quality = result.fit, result.quality
    rig, target = fit.rig, fit.target
    pairs = pair_rows(fit, views)
    told = {fault.message for fault in result.faults}
    report = {
        "schema": SCHEMA,
        "grade": quality.grade,
        "verdict": quality.verdict,
        "reasons": quality.reasons,
        "stereo_rms_px": fit.rms_px,
        "mono_rms_left_px": fit.mono[0].rms_px,
        "mono_rms_right_px": fit.mono[1].rms_px,
        "held_out_row_error_px": quality.held_out_row_error_px,
        "held_out_rows": quality.row_errors,
        "baseline_m": rig.baseline_m,
        "baseline_sigma_m": quality.baseline_sigma_m,
        "rejected_share": fit.rejected_share,
        "noise_px": fit.noise_px,
        "disagreement": fit.disagreement,
        "unsteady": fit.unsteady,
        "model": fit.model,
        "board_shape": fit.board_shape,
        "warp_mm": 1e3 * fit.warp_m,
        "board_off_mm": 1e3 * float(np.sqrt(((fit.board_m - target.object_points()) ** 2).sum(1).mean())),
        "image_size": rig.left.size,
        "image_size_right": rig.right.size,
        "target": {
            "text": str(target),
            "kind": target.kind,
            "columns": target.columns,
            "rows": target.rows,
            "square_m": target.square_m,
        },
        "pairs_used": sum(pair["used"] for pair in pairs),
        "pairs": pairs,
        "corners": dict(zip(("left", "right"), map(_corners, corner_errors(fit)), strict=True)),
        "candidates": result.candidates,
        "faults": [fault_row(fault, fit.names) for fault in result.faults],
        "coverage": {
            "left": _coverage(quality.coverage_left),
            "right": _coverage(quality.coverage_right),
            "tilt_deg": quality.tilt_deg,
            "depth_ratio": quality.depth_ratio,
        },
        "structure": quality.structures,
        "depth": quality.depth,
        "matching_sigma_px": quality.sigma_disparity_px,
        "depth_map": _depth_map(rig, [row.depth_m for row in quality.depth]),
        "next_poses": [_pose(pose) for pose in result.next_poses],
        "parameters": parameters(fit),
        "notes": [note for note in result.notes if note not in told],
        "options": {} if record is None else record.options,
        "command": None if record is None else record.command,
        "inputs": [] if record is None else [{"name": name, "sha256": digest} for name, digest in record.inputs],
        "versions": versions(),
    }
    plain: dict[str, Any] = _plain(report)
    return plain


def save_report(path: str | Path, report: Mapping[str, Any]) -> None:
    """Write a report of `report_of` as JSON, whole or not at all.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    text = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    # Bytes of a file name that are no text become escapes, which JSON reads back.
    files.write_bytes(path, text.encode("utf-8", "backslashreplace"))


def pair_rows(fit: Fit, views: BoardViews | None = None) -> list[dict[str, Any]]:
    """What became of each pair; see `report_of`."""
    seen = dict(enumerate(views.pairs)) if views is not None and len(views.pairs) == len(fit.names) else {}
    return [_pair(fit, i, errors, seen.get(i)) for i, errors in enumerate(view_errors(fit))]


def _pair(fit: Fit, index: int, errors: ViewErrors, view: PairView | None) -> dict[str, Any]:
    left, right = errors.left_rms_px, errors.right_rms_px
    counts = errors.left_kept, errors.right_kept
    both = float("nan")
    if sum(counts):
        both = math.sqrt((np.nan_to_num(left) ** 2 * counts[0] + np.nan_to_num(right) ** 2 * counts[1]) / sum(counts))
    used = min(counts) > 0 and index not in fit.dropped
    problem = fit.dropped.get(index, "")
    if not problem and view is not None:
        problem = view.problem
    if not problem and not used:
        problem = "one camera only" if max(counts) else "every corner was left out"
    return {
        "name": errors.name,
        "used": used,
        "repaired": index in fit.repaired,
        "repair": fit.repaired.get(index, ""),
        "detector_left": None if view is None or view.left is None else view.left.detector,
        "detector_right": None if view is None or view.right is None else view.right.detector,
        "rms_left_px": left,
        "rms_right_px": right,
        "rms_px": both,
        "corners_left": counts[0],
        "corners_right": counts[1],
        "rejected_left": errors.left_rejected,
        "rejected_right": errors.right_rejected,
        "problem": problem,
    }


def fault_row(fault: "Fault", names: Sequence[str]) -> dict[str, Any]:
    """A fault with the names of its pairs."""
    row: dict[str, Any] = _plain(fault)
    row["pairs"] = [names[pair] for pair in fault.pairs]
    return row


def parameters(fit: Fit) -> dict[str, dict[str, float]]:
    """Value and sigma (NaN where unknown) of each of the rig's numbers."""
    rig, found = fit.rig, {}
    for side, camera in (("left", rig.left), ("right", rig.right)):
        values = [camera.focal_x_px, camera.focal_y_px, camera.centre_x_px, camera.centre_y_px, *camera.distortion.tolist()]
        names = ("focal_x_px", "focal_y_px", "centre_x_px", "centre_y_px", *camera.coefficient_names)
        found.update({f"{side}.{name}": value for name, value in zip(names, values, strict=True)})
    turn = cv2.Rodrigues(rig.R_right_left.copy())[0].ravel().tolist()
    found.update({f"rotation_{axis}_rad": value for axis, value in zip("xyz", turn, strict=True)})
    found.update({f"t_{axis}_m": value for axis, value in zip("xyz", rig.t_right_left_m.tolist(), strict=True)})
    return {name: {"value": value, "sigma": rig.sigma(name)} for name, value in found.items()}


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    return {
        "calib": calib.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _pose(pose: NextPose) -> dict[str, Any]:
    return {
        "words": pose.words,
        "gain": pose.gain,
        "sigma_before": pose.sigma_before,
        "sigma_after": pose.sigma_after,
        "left_outline_uv": pose.left_outline_uv,
        "right_outline_uv": pose.right_outline_uv,
        "R": pose.R,
        "t_m": pose.t,
    }


def _corners(errors: CornerErrors) -> dict[str, Any]:
    return {"rms_px": errors.rms_px, "mean_px": errors.mean_px, "rejected": errors.rejected}


def _depth_map(rig: StereoRig, depths_m: list[float]) -> dict[str, Any] | None:
    if not depths_m:
        return None
    columns, rows = _MAP_CELLS
    x, y = (np.arange(columns) + 0.5) * rig.left.width / columns - 0.5, (np.arange(rows) + 0.5) * rig.left.height / rows - 0.5
    sigma = depth_sigma(rig, np.stack(np.meshgrid(x, y), -1), np.array(depths_m)[:, None, None])
    # four digits are more than it is known to, and keep the file small
    return {
        "x_px": x,
        "y_px": y,
        "depths_m": depths_m,
        "sigma_m": [[[float(f"{s:.4g}") for s in row] for row in one] for one in sigma],
    }


def _coverage(found: Coverage) -> dict[str, Any]:
    return {"share": found.share, "hull_share": found.hull_share, "counts": found.counts}


def _plain(value: Any) -> Any:
    """Numbers, texts, lists and dicts only; None for what is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)
