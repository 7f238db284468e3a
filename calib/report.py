"""`rig.report.json`: how a rig was found and how well it fits, for programs."""

import json
from pathlib import Path
from typing import Any

from calib import files
from calib.solve import SolveResult

SCHEMA = 1
"""raised when a field changes its meaning or goes away; new fields may come at any time"""


def report_path(rig_path: str | Path) -> Path:
    """Where the report of a rig goes: `rig.yaml` -> `rig.report.json`."""
    return Path(rig_path).with_suffix(".report.json")


def report_of(result: SolveResult) -> dict[str, Any]:
    """The report as plain values.

    Returns
    -------
    dict
        `schema`; `stereo_rms_px`, `mono_rms_left_px`, `mono_rms_right_px` (per corner, both axes together); `baseline_m`;
        `image_size` [width, height] of the left and `image_size_right` of the right images; `model`; `pairs_used`; `pairs`, each
        with `name`, `used`, `repaired` (corner order), `detector_left`, `detector_right`, `rms_left_px`, `rms_right_px`, `rms_px`
        (null where unknown), `problem`; `notes`.
    """
    return {
        "schema": SCHEMA,
        "stereo_rms_px": result.stereo_rms_px,
        "mono_rms_left_px": result.mono_rms_left_px,
        "mono_rms_right_px": result.mono_rms_right_px,
        "baseline_m": result.rig.baseline_m,
        "image_size": list(result.rig.left.size),
        "image_size_right": list(result.rig.right.size),
        "model": result.model,
        "pairs_used": sum(pair.used for pair in result.pairs),
        "pairs": [
            {
                "name": pair.name,
                "used": pair.used,
                "repaired": pair.repaired,
                "detector_left": pair.left_detector,
                "detector_right": pair.right_detector,
                "rms_left_px": pair.left_rms_px,
                "rms_right_px": pair.right_rms_px,
                "rms_px": pair.rms_px,
                "problem": pair.problem,
            }
            for pair in result.pairs
        ],
        "notes": list(result.notes),
    }


def save_report(path: str | Path, result: SolveResult) -> None:
    """Write `report_of(result)` as JSON, whole or not at all.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    files.write_text(path, json.dumps(report_of(result), indent=1, allow_nan=False, ensure_ascii=False) + "\n")
