"""The command line `calib`: board, solve, rectify, show. Imports nothing heavy until a command runs."""

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
    from calib.sources import CaptureSources

MODELS = ("auto", "radtan4", "radtan5", "radtan8", "radtan12", "fisheye")
WARPS = ("auto", "off", "on", "free")
_SOLVE_HELP = """\
Pictures of a board, taken by both cameras at the same moment, to a calibrated rig.

Hold the board at 10 or more places: near and far, into all corners of the images, tilted by 20 to 40 degrees to all sides.
Pairs are formed in natural order of the names (left2 before left10); of videos, by the numbers of the frames."""
_SOLVE_EXAMPLES = """\
examples:
  calib solve photos/left photos/right --target chessboard:9x6:25mm -o rig.yaml
  calib solve 'photos/left*.jpg' 'photos/right*.jpg' --target auto:30mm -o rig.yaml
  calib solve left.mp4 right.mp4 --target charuco:11x8:30mm:22mm:DICT_5X5_100 -o rig.yaml
  calib solve left right --target chessboard:9x6:25mm --known-length 225mm:9 -o rig.yaml

boards:
  chessboard:9x6:25mm                      inner corners across x down, side of a square
  charuco:11x8:30mm:22mm:DICT_5X5_100      squares, side of a square, side of a marker, dictionary
  aprilgrid:6x6:88mm:0.3                   tags, side of a tag, gap over side; or aprilgrid:FILE.yaml, Kalibr's file
  circles:9x6:20mm                         circles across x down, their distance
  acircles:4x11:20mm                       asymmetric circles, from row to row (half the distance of neighbours in a row)
  auto:25mm                                found out from the images, given the side of a square

LEFT and RIGHT are folders, patterns in quotes, .txt files with one name in each line, or videos. Beside rig.yaml go
rig.report.html, to be looked at in a browser, and rig.report.json, the same for programs."""
_BOARD_HELP = """\
Draw a board to print, at exact scale, with a ruler and the words for --target on it."""
_BOARD_EXAMPLES = """\
examples:
  calib board --target chessboard:9x6:25mm -o board.pdf
  calib board --target charuco:11x8:30mm:22mm:DICT_5X5_100 --paper A3 -o board.pdf
  calib board --target aprilgrid:6x6:24mm:0.3 --paper 400x300mm -o board.svg

Print without any "fit to page", measure the ruler, and glue the sheet to something flat and stiff."""
_RECTIFY_HELP = """\
Turn the two images of a pair so that their rows are epipolar lines."""
_RECTIFY_EXAMPLES = """\
examples:
  calib rectify rig.yaml left.png right.png -o rectified

Into DIR go left.png and right.png (.tiff for float images), left_valid.png and right_valid.png (255 where the photo reached),
and rig.yaml, the rig of the rectified images."""
_IMAGES_TO_GUESS = 4
_SHOW_HELP = """\
Draw a rig and tell in words what it is: sizes, focal lengths, fields of view, baseline, angles, and, where `calib solve` made it,
the standard deviation of each number and the error of depth that follows."""
_SHOW_EXAMPLES = """\
examples:
  calib show rig.yaml
  calib show rig.yaml -o rig.png
  calib show stereo.yml --unit mm --image-size 640x480"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code (see `calib.errors`)."""
    return run_command(_parser, argv, program="calib")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="calib", description="Print boards, calibrate stereo rigs from pictures of them, and rectify images.")
    add_version(parser, "calib")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, brief: str, text: str, examples: str) -> argparse.ArgumentParser:
        raw = argparse.RawDescriptionHelpFormatter
        return commands.add_parser(name, help=brief, description=text, epilog=examples, formatter_class=raw)

    board = command("board", "draw a board to print", _BOARD_HELP, _BOARD_EXAMPLES)
    board.add_argument("--target", required=True, metavar="T", help="the board, as for `calib solve`")
    board.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="drawing: .pdf, .svg or .png")
    board.add_argument("--paper", default="A4", metavar="P", help="A4 (default), A3 ... A0, letter, tabloid or e.g. 600x400mm")
    board.set_defaults(run=_board)

    solve = command("solve", "pictures of a board to a rig", _SOLVE_HELP, _SOLVE_EXAMPLES)
    solve.add_argument("images", nargs="+", metavar="LEFT RIGHT", help="the images of each camera")
    solve.add_argument("--target", required=True, metavar="T", help="the board, e.g. chessboard:9x6:25mm; see below")
    solve.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where the rig goes, e.g. rig.yaml")
    solve.add_argument(
        "--model",
        default="auto",
        choices=MODELS,
        metavar="NAME",
        help=f"lens distortion: {', '.join(MODELS)} (auto: what predicts pairs best that were held out)",
    )
    solve.add_argument(
        "--warp",
        default="auto",
        choices=WARPS,
        help="what the board may be: off = flat, on = bowed, free = each point off its place; auto: what predicts best",
    )
    solve.add_argument(
        "--known-length",
        metavar="L:N",
        help="a length measured on the printed board over N squares, e.g. 225mm:9: checks and corrects the scale; at least 100 mm"
        " over 5 squares (tags with their gaps; distances of circles; of acircles: distances from row to row)",
    )
    solve.add_argument("--no-cache", action="store_true", help="search every image again; keep nothing of what was found")
    solve.add_argument("--time-limit", type=float, metavar="S", help="seconds to search one image (default: 10)")
    solve.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads of the detection; the result depends on it only where an image reaches the time limit",
    )
    solve.set_defaults(run=_solve)

    rectify = command("rectify", "a pair to rows that are epipolar lines", _RECTIFY_HELP, _RECTIFY_EXAMPLES)
    _add_rig(rectify)
    rectify.add_argument("left", type=Path, metavar="LEFT", help="left photo")
    rectify.add_argument("right", type=Path, metavar="RIGHT", help="right photo")
    rectify.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="folder for the results")
    rectify.set_defaults(run=_rectify)

    show = command("show", "a rig in words and drawn", _SHOW_HELP, _SHOW_EXAMPLES)
    _add_rig(show)
    show.add_argument("-o", "--output", type=Path, metavar="FILE", help="draw the rig into a picture, too: .png or .svg")
    show.set_defaults(run=_show)
    return parser


def _add_rig(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rig", type=Path, metavar="RIG", help="rig file: our YAML, OpenCV, Middlebury or KITTI")
    parser.add_argument("--unit", metavar="U", help="unit of the rig's lengths (m, cm, mm, in) where its file does not state it")
    parser.add_argument("--image-size", metavar="WxH", help="size of the rig's images where its file does not state it")
    parser.add_argument("--cameras", metavar="WHICH", help="which pair of a KITTI file: colour (default) or grey")


def _board(args: argparse.Namespace) -> int:
    from calib import files
    from calib.board_drawing import draw_board
    from calib.target import parse_target

    target = parse_target(args.target)
    drawn = draw_board(target, files.output_file(args.output), paper=args.paper)
    for note in drawn.notes:
        say(f"note: {note}")
    print(f"{target} on a sheet of {drawn.size_mm[0]:g} x {drawn.size_mm[1]:g} mm: print it at 100 %, then measure the ruler")
    announce(drawn.path)
    return 0


def _solve(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from calib import files
    from calib.detect import TIME_LIMIT_S, detect_pairs
    from calib.detection_cache import DetectionCache
    from calib.faults_images import check_images
    from calib.faults_kinds import ranked
    from calib.known_length import parse_known_length, scaled_to
    from calib.report import record_of, report_of, report_path, save_report
    from calib.report_page import save_report_page
    from calib.report_text import report_lines
    from calib.rig_files import save_rig
    from calib.solve import solve_rig
    from calib.sources import ImageFile, capture_sources, paths_of
    from calib.target import parse_target

    target = parse_target(args.target)
    known = None if args.known_length is None else parse_known_length(args.known_length)
    limit_s = TIME_LIMIT_S if args.time_limit is None else args.time_limit
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads is {args.threads}; it must be at least 1")
    if not 0.0 < limit_s < 1e6:
        raise UsageError(f"--time-limit is {limit_s:g}; it must be more than 0 seconds")
    sources = capture_sources(args.images)
    inputs = paths_of([*sources.left, *sources.right])
    # before the work, not after it
    output = files.output_file(args.output)
    page, data = report_path(output, ".html"), report_path(output)
    files.refuse_overwriting([output, page, data], [*inputs, *map(Path, args.images)])
    cache = None if args.no_cache else DetectionCache()
    with Progress(2 * len(sources.left), "board:") as progress:
        views = detect_pairs(
            sources.left,
            sources.right,
            target,
            threads=args.threads,
            cache=cache,
            time_limit_s=limit_s,
            notes=sources.notes,
            progress=progress.advance,
        )
    is_settled = False
    if known is not None:
        measured = scaled_to(views.target, known)
        is_settled = measured.is_settled
        views = replace(views, target=measured.target, notes=(*views.notes, measured.note))
    try:
        with Progress(title="solve:") as progress:
            result = solve_rig(views, model=args.model, warp=args.warp, progress=progress.begin)
    except CalibrationError as error:
        for note in views.notes:
            say(f"note: {note}")
        raise CalibrationError(f"{error}{_other_board(sources, views)}") from error
    stored = [[source.path for source in side if isinstance(source, ImageFile)] for side in (sources.left, sources.right)]
    faults = ranked([*result.faults, *check_images(*stored)])
    if is_settled:
        faults = tuple(fault for fault in faults if fault.name != "square-size")
    result = replace(result, faults=faults)
    options = {"target": args.target, "model": args.model, "warp": args.warp}
    options |= {} if args.known_length is None else {"known-length": args.known_length}
    options |= {} if args.time_limit is None else {"time-limit": f"{args.time_limit:g}"}
    report = report_of(result, views, record_of(args.images, options, inputs))
    for line in report_lines(report):
        print(line)
    save_rig(output, result.rig)
    announce(output)
    save_report_page(page, result, report)
    announce(page)
    save_report(data, report)
    announce(data)
    return 0


def _other_board(sources: "CaptureSources", views: "BoardViews") -> str:
    """Advice when hardly any board was found: what the images show instead."""
    from calib.finders import other_board

    seen = {pair.name: pair for pair in views.pairs}
    without = []
    for name, *images in zip(sources.names, sources.left, sources.right, strict=True):
        pair = seen.get(name)
        sides = (None, None) if pair is None else (pair.left, pair.right)
        without += [image for image, side in zip(images, sides, strict=True) if side is None]
    if len(without) <= len(sources.names):
        return ""
    for image in without[:_IMAGES_TO_GUESS]:
        advice = other_board(image.read(), views.target)
        if advice:
            return f"; {image.name} {advice}"
    return ""


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
    from calib import files, rig_picture
    from calib.describe import describe

    rig = _load(args)
    if args.output is not None:
        output = rig_picture.picture_file(args.output)
        files.refuse_overwriting([output], [args.rig])
    for line in [*rig_picture.draw_text(rig), "", *describe(rig)]:
        print(line)
    if args.output is not None:
        rig_picture.save_picture(output, rig)
        announce(output)
    return 0


def _load(args: argparse.Namespace) -> "StereoRig":
    from calib.rig_files import load_rig

    return load_rig(args.rig, image_size=parse_size(args.image_size), unit=args.unit, cameras=args.cameras)


if __name__ == "__main__":
    sys.exit(main())
