"""The command line `stereo`: run, demo. Imports nothing heavy until a command runs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from calib.console import Parser, Progress, add_version, announce, join_negative_values, parse_size, run_command, say
from calib.errors import UsageError

_RUN_HELP = """\
Two photos to disparity, depth, a point cloud and a report.

  stereo run left.png right.png --rig rig.yaml -o out
  stereo run left.png right.png --range -40:88 -o out       # already rectified, no rig: disparity only
  stereo run --config out/run.yaml -o again                 # the same once more, byte for byte

Into DIR go disparity.tiff, sigma.tiff, reason.png and preview.png; with a rig also depth.tiff, inverse_depth.tiff,
depth_sigma.tiff, cloud.ply and report.html; always run.yaml and log.jsonl."""
_DEMO_HELP = """\
Render a toe-in rig, its board photos and a scene; calibrate, rectify, match and measure; compare with the truth.
DIR must be new, empty, or of an earlier demo.

  stereo demo -o demo"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code (see `calib.errors`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    return run_command(_parser, join_negative_values(words, ("--range",)), program="stereo")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="stereo", description="Match rectified pairs, measure depth, export point clouds.")
    add_version(parser, "stereo")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    raw = argparse.RawDescriptionHelpFormatter
    run = commands.add_parser("run", help="two photos to depth and a point cloud", description=_RUN_HELP, formatter_class=raw)
    run.add_argument("left", nargs="?", type=Path, metavar="LEFT", help="left photo")
    run.add_argument("right", nargs="?", type=Path, metavar="RIGHT", help="right photo, of the same size")
    run.add_argument("--rig", type=Path, metavar="FILE", help="rig file of the photos; without it they are taken as rectified")
    run.add_argument("--unit", metavar="U", help="unit of the rig's lengths (m, cm, mm, in) where its file does not state it")
    run.add_argument("--image-size", metavar="WxH", help="size of the rig's images where its file does not state it")
    run.add_argument(
        "--cameras", choices=("colour", "grey"), metavar="C", help="which cameras of a KITTI rig: colour (default) or grey"
    )
    where = run.add_mutually_exclusive_group()
    where.add_argument("--range", metavar="MIN:MAX", help="disparities to search, px, either sign, MAX excluded: -40:88")
    where.add_argument("--depth", metavar="NEAR:FAR", help="depths to search instead, with units: 0.5m:20m, 30cm:inf")
    run.add_argument("--preset", metavar="NAME", help="named settings, balanced by default; --print-settings shows what it means")
    run.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, such as matcher.p2=64; repeatable"
    )
    run.add_argument("--config", type=Path, metavar="FILE", help="settings file, such as the run.yaml of an earlier run")
    run.add_argument("--threads", type=int, metavar="N", help="threads of the matcher; the result does not depend on it")
    run.add_argument("--print-settings", action="store_true", help="print the settings this command line means, and leave")
    run.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for the results")
    run.set_defaults(run=_run)
    demo = commands.add_parser("demo", help="the whole chain on rendered photos", description=_DEMO_HELP, formatter_class=raw)
    demo.add_argument(
        "-o", "--output", type=Path, default=Path("stereo-demo"), metavar="DIR", help="folder (default: stereo-demo)"
    )
    demo.set_defaults(run=_demo)
    return parser


def _run(args: argparse.Namespace) -> int:
    from stereo.run_settings import RunFile, change_settings, load_run_file, settings_text
    from stereo.search_range import parse_depth, parse_range

    search_range = None if args.range is None else parse_range(args.range)
    if args.depth is not None:
        parse_depth(args.depth)
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads is {args.threads}; it must be at least 1")
    given = RunFile() if args.config is None else load_run_file(args.config)
    settings = change_settings(
        given.settings, preset=args.preset, assignments=args.set, search_range=search_range, depth=args.depth
    )
    if args.print_settings:
        print(settings_text(settings), end="")
        return 0
    left, right, rig = args.left or given.left, args.right or given.right, args.rig or given.rig
    size = parse_size(args.image_size)
    if args.left is not None and args.right is None:
        raise UsageError(f"RIGHT is missing: only {args.left} is given; see `stereo run --help`")
    if left is None or right is None:
        raise UsageError("LEFT and RIGHT are missing: give two photos, or --config with a run.yaml; see `stereo run --help`")
    if args.output is None:
        raise UsageError("-o DIR is missing: say which folder the results go into")
    from stereo import pipeline
    from stereo.run_log import Listener
    from stereo.run_result import summary

    with Progress(len(pipeline.STEPS), "stereo run:") as progress:
        listener = Listener(progress.begin, say, announce)
        result = pipeline.run(
            left,
            right,
            args.output,
            rig=rig,
            unit=args.unit or given.unit,
            image_size=size or given.image_size,
            cameras=args.cameras or given.cameras,
            settings=settings,
            record=given.record,
            threads=args.threads,
            listener=listener,
            keep=() if args.config is None else (args.config,),
        )
    for line in summary(result):
        print(line)
    return 0


def _demo(args: argparse.Namespace) -> int:
    from stereo import demo

    for line in demo.run_demo(args.output).lines:
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
