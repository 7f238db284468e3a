"""The command line `calib`: solve, rectify, show. Imports nothing heavy until a command runs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from calib.console import Parser, Progress, add_version, announce, parse_size, run_command, say
from calib.errors import CalibrationError, UsageError

if TYPE_CHECKING:
    from calib.detection import BoardViews
    from calib.rig import StereoRig
    from calib.solve import SolveResult
    from calib.target import Target

_SOLVE_HELP = """\
Photos of a chessboard, taken by both cameras at the same moment, to a calibrated rig.

Hold the board at 10 or more places: near and far, into all corners of the images, tilted by 20 to 40 degrees to all sides.
Pairs are formed in natural order of the names (left2 before left10)."""
_SOLVE_EXAMPLES = """\
examples:
  calib solve photos/left photos/right --target chessboard:9x6:25mm -o rig.yaml
  calib solve 'photos/left*.jpg' 'photos/right*.jpg' --target chessboard:6x4:30mm -o rig.yaml

LEFT and RIGHT are folders, patterns in quotes, or .txt files with one name in each line. Beside rig.yaml goes
rig.report.json with the errors of every pair."""
_RECTIFY_HELP = """\
Turn the two images of a pair so that their rows are epipolar lines."""
_RECTIFY_EXAMPLES = """\
examples:
  calib rectify rig.yaml left.png right.png -o rectified

Into DIR go left.png and right.png (.tiff for float images), left_valid.png and right_valid.png (255 where the photo reached),
and rig.yaml, the rig of the rectified images."""
_IMAGES_TO_GUESS = 4
_SHOW_HELP = """\
Tell in words what a rig is: sizes, focal lengths, fields of view, baseline, angles."""
_SHOW_EXAMPLES = """\
examples:
  calib show rig.yaml
  calib show stereo.yml --unit mm --image-size 640x480"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code (see `calib.errors`)."""
    return run_command(_parser, argv, program="calib")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="calib", description="Calibrate stereo rigs from photos of a board, and rectify their images.")
    add_version(parser, "calib")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, brief: str, text: str, examples: str) -> argparse.ArgumentParser:
        raw = argparse.RawDescriptionHelpFormatter
        return commands.add_parser(name, help=brief, description=text, epilog=examples, formatter_class=raw)

    solve = command("solve", "photos of a board to a rig", _SOLVE_HELP, _SOLVE_EXAMPLES)
    solve.add_argument("images", nargs="+", metavar="LEFT RIGHT", help="the images of each camera")
    solve.add_argument(
        "--target",
        required=True,
        metavar="T",
        help="the board: chessboard:9x6:25mm (inner corners, side of a square with its unit)",
    )
    solve.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where the rig goes, e.g. rig.yaml")
    solve.add_argument(
        "--model",
        default="auto",
        metavar="NAME",
        help="lens distortion: radtan4, radtan5, radtan8 or auto (default: radtan5 where the corners prove it, else radtan4)",
    )
    solve.add_argument("--threads", type=int, metavar="N", help="threads of the detection; the result does not depend on it")
    solve.set_defaults(run=_solve)

    rectify = command("rectify", "a pair to rows that are epipolar lines", _RECTIFY_HELP, _RECTIFY_EXAMPLES)
    _add_rig(rectify)
    rectify.add_argument("left", type=Path, metavar="LEFT", help="left photo")
    rectify.add_argument("right", type=Path, metavar="RIGHT", help="right photo")
    rectify.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="folder for the results")
    rectify.set_defaults(run=_rectify)

    show = command("show", "a rig in words", _SHOW_HELP, _SHOW_EXAMPLES)
    _add_rig(show)
    show.set_defaults(run=_show)
    return parser


def _add_rig(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rig", type=Path, metavar="RIG", help="rig file: our YAML, OpenCV, Middlebury or KITTI")
    parser.add_argument("--unit", metavar="U", help="unit of the rig's lengths (m, cm, mm, in) where its file does not state it")
    parser.add_argument("--image-size", metavar="WxH", help="size of the rig's images where its file does not state it")
    parser.add_argument("--cameras", metavar="WHICH", help="which pair of a KITTI file: colour (default) or grey")


def _solve(args: argparse.Namespace) -> int:
    from calib import files
    from calib.adjust import MODELS
    from calib.detect import detect_pairs
    from calib.image_lists import pair_up
    from calib.report import report_path, save_report
    from calib.rig_files import save_rig
    from calib.solve import solve_rig
    from calib.target import parse_target

    target = parse_target(args.target)
    if args.model not in ("auto", *MODELS):
        raise UsageError(f"--model {args.model!r} is unknown; known are auto, {', '.join(MODELS)}")
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads is {args.threads}; it must be at least 1")
    left, right, notes = pair_up(args.images)
    # before the work, not after it
    output = files.output_file(args.output)
    files.refuse_overwriting([output, report_path(output)], [*left, *right, *map(Path, args.images)])
    for note in notes:
        say(f"note: {note}")
    with Progress(2 * len(left), "board:") as progress:
        views = detect_pairs(left, right, target, threads=args.threads, progress=progress.advance)
    try:
        result = solve_rig(views.pairs, target, views.left_size, right_size=views.right_size, model=args.model)
    except CalibrationError as error:
        images = [image for pair in zip(left, right, strict=True) for image in pair]
        raise CalibrationError(f"{error}{_other_board(images, views, target)}") from error
    for line in _table(result):
        print(line)
    save_rig(output, result.rig)
    announce(output)
    save_report(report_path(output), result)
    announce(report_path(output))
    return 0


def _other_board(images: Sequence[Path], views: "BoardViews", target: "Target") -> str:
    """Advice when hardly any board was found: what the images show instead."""
    from calib.detect import guess_board
    from calib.images import read_image

    seen = [view for pair in views.pairs for view in (pair.left, pair.right)]
    without = [image for image, view in zip(images, seen, strict=True) if view is None]
    if 2 * len(without) <= len(seen):
        return ""
    for image in without[:_IMAGES_TO_GUESS]:
        size = guess_board(read_image(image))
        if size not in (None, (target.columns, target.rows), (target.rows, target.columns)):
            board = f"{size[0]}x{size[1]}"
            return f"; {image.name} shows a board of {board} inner corners: try --target {target.kind}:{board}:..."
    return ""


def _table(result: "SolveResult") -> list[str]:
    """The errors of each pair, the worst first, and what there is to say."""
    used = sorted((pair for pair in result.pairs if pair.used), key=lambda pair: -(pair.rms_px or 0.0))
    width = max(len("pair"), *(len(pair.name) for pair in used))
    lines = [f"{'pair':{width}}  both px  left px  right px  detector"]
    for pair in used:
        how = pair.left_detector if pair.left_detector == pair.right_detector else f"{pair.left_detector}, {pair.right_detector}"
        mark = "  corner order repaired" if pair.repaired else ""
        lines.append(f"{pair.name:{width}}  {pair.rms_px:7.3f}  {pair.left_rms_px:7.3f}  {pair.right_rms_px:8.3f}  {how}{mark}")
    lines += [f"note: {note}" for note in result.notes]
    rig = result.rig
    lines += [
        f"{len(used)} of {len(result.pairs)} pairs; rms per corner: both cameras {result.stereo_rms_px:.3f} px, left alone"
        f" {result.mono_rms_left_px:.3f} px, right alone {result.mono_rms_right_px:.3f} px; lens model {result.model}",
        f"baseline {1e3 * rig.baseline_m:.2f} mm, focal lengths {rig.left.focal_x_px:.2f} px and {rig.right.focal_x_px:.2f} px",
    ]
    return lines


def _rectify(args: argparse.Namespace) -> int:
    import numpy as np

    from calib import files
    from calib.images import read_pair, write_image
    from calib.rectification import plan_rectification
    from calib.rig_files import save_rig

    rig = _load(args)
    photos = read_pair(args.left, args.right)
    suffix = ".tiff" if photos[0].dtype == np.float32 else ".png"
    names = [f"left{suffix}", f"right{suffix}", "left_valid.png", "right_valid.png", "rig.yaml"]
    files.refuse_overwriting([args.output / name for name in names], [args.rig, args.left, args.right])
    plan = plan_rectification(rig)
    pair = plan.apply(*photos)
    if plan.roll_note is not None:
        say(f"note: {plan.roll_note}")
    folder = files.output_folder(args.output)
    for name, array in zip(names, (pair.left, pair.right, pair.left_valid, pair.right_valid), strict=False):
        write_image(folder / name, array.astype(np.uint8) * np.uint8(255) if array.dtype == np.bool_ else array)
        announce(folder / name)
    save_rig(folder / names[-1], plan.rig)
    announce(folder / names[-1])
    return 0


def _show(args: argparse.Namespace) -> int:
    from calib.describe import describe

    for line in describe(_load(args)):
        print(line)
    return 0


def _load(args: argparse.Namespace) -> "StereoRig":
    from calib.rig_files import load_rig

    return load_rig(args.rig, image_size=parse_size(args.image_size), unit=args.unit, cameras=args.cameras)


if __name__ == "__main__":
    sys.exit(main())
