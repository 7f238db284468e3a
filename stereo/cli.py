"""The command line `stereo`: run, score, demo. Imports nothing heavy until a command runs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from calib.console import Parser, Progress, add_version, announce, join_negative_values, parse_size, run_command, say
from calib.errors import InputError, UsageError
from calib.files import output_folder

if TYPE_CHECKING:
    from stereo.encodings import Encoding

PART_FAILED = 7
"""exit code: some of a batch failed"""

_RUN_HELP = """\
Two photos to disparity, depth, a point cloud and a report.

  stereo run left.png right.png --rig rig.yaml -o out
  stereo run left.png right.png --range -40:88 -o out       # already rectified, no rig: disparity only
  stereo run --config out/run.yaml -o again                 # the same once more, byte for byte

Into DIR go disparity.tiff, sigma.tiff, confidence.tiff, reason.png and preview.png; with a rig also depth.tiff,
inverse_depth.tiff, depth_sigma.tiff, cloud.ply and report.html; always run.yaml and log.jsonl."""
_DEMO_HELP = """\
Render a toe-in rig, its board photos and a scene; calibrate, rectify, match and measure; compare with the truth.
DIR must be new, empty, or of an earlier demo.

  stereo demo -o demo"""
_SCORE_HELP = """\
How good is a disparity map? The metrics of Middlebury v3, ETH3D and KITTI, against truth: one file, or a whole data set.

  stereo score out/disparity.tiff disp0GT.pfm --mask mask0nocc.png
  stereo score mine.tiff disp_occ/000000_10.png --kind kitti --benchmark kitti
  stereo score mine.pfm disp2.png --scale 4                   # Middlebury 2003: 4 units per px
  stereo score MiddEval3/trainingQ -o scores                  # matches every pair, then measures
  stereo score data_scene_flow --results mine --kind kitti    # measures mine/000000_10.png and so on

Float files (TIFF, PFM, NPY) hold px. Files of whole numbers need --kind or --scale: nothing is guessed. Holes count as in the
benchmark in the lines `sparse`; for `dense` they are filled like KITTI's development kit does. Coverage stands beside both.
Data sets are recognised by their layout: Middlebury 2001 to 2021 and v3, ETH3D, KITTI 2012 and 2015, SceneFlow, Sintel.
-o DIR receives scores.json and the table as scores.txt."""
_KINDS, _BENCHMARKS = ("float", "kitti", "sintel", "scaled"), ("middlebury", "kitti", "eth3d")
"""of stereo.encodings and stereo.score, which are too heavy to import for --help"""
_FILE_OPTIONS = ("mask", "benchmark", "truth_kind", "truth_scale")
_FOLDER_OPTIONS = ("results", "preset", "range", "threads", "keep_maps")


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
    _add_score(
        commands.add_parser("score", help="measure disparity maps against truth", description=_SCORE_HELP, formatter_class=raw)
    )
    demo = commands.add_parser("demo", help="the whole chain on rendered photos", description=_DEMO_HELP, formatter_class=raw)
    demo.add_argument(
        "-o", "--output", type=Path, default=Path("stereo-demo"), metavar="DIR", help="folder (default: stereo-demo)"
    )
    demo.set_defaults(run=_demo)
    return parser


def _add_score(score: argparse.ArgumentParser) -> None:
    score.add_argument("result", type=Path, metavar="RESULT|FOLDER", help="a disparity map, or the folder of a data set")
    score.add_argument("truth", nargs="?", type=Path, metavar="TRUTH", help="the true disparities, where RESULT is a file")
    score.add_argument("--mask", type=Path, metavar="NONOCC", help="picture in which 255 marks pixels that both images see")
    score.add_argument("--benchmark", choices=_BENCHMARKS, metavar="B", help="middlebury (default), kitti or eth3d")
    score.add_argument(
        "--kind", choices=_KINDS, metavar="K", help="what files of whole numbers hold: kitti (d 256), sintel (RGB), scaled (d S)"
    )
    score.add_argument(
        "--scale", type=float, metavar="S", help="stored units per px of files of whole numbers; 0 is unknown there"
    )
    score.add_argument("--truth-kind", choices=_KINDS, metavar="K", help="the same for TRUTH alone, where it differs from RESULT")
    score.add_argument("--truth-scale", type=float, metavar="S", help="the same for TRUTH alone")
    source = score.add_mutually_exclusive_group()
    source.add_argument("--results", type=Path, metavar="DIR", help="measure the maps in DIR, named as the pairs in the table")
    source.add_argument("--preset", metavar="NAME", help="match every pair of FOLDER with these settings (balanced by default)")
    score.add_argument("--range", metavar="MIN:MAX", help="disparities to search instead of the data set's, px, MAX excluded")
    score.add_argument("--threads", type=int, metavar="N", help="threads of the matcher; the result does not depend on it")
    score.add_argument("--keep-maps", action="store_true", help="write our disparity maps into DIR/maps too")
    score.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for scores.json and scores.txt")
    score.set_defaults(run=_score)


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


def _score(args: argparse.Namespace) -> int:
    if args.truth is None and args.result.is_file():
        raise UsageError(f"TRUTH is missing: only {args.result} is given; see `stereo score --help`")
    whole = args.truth is None
    for name in _FILE_OPTIONS if whole else _FOLDER_OPTIONS:
        if getattr(args, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} belongs to {'a single file' if whole else 'a data set'}; see `stereo score --help`")
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads is {args.threads}; it must be at least 1")
    if args.keep_maps and (args.output is None or args.results is not None):
        raise UsageError("--keep-maps writes our own maps into the folder of -o; give -o DIR, and no --results")
    if args.output is not None:
        output_folder(args.output)
    return _score_folder(args) if whole else _score_file(args)


def _score_file(args: argparse.Namespace) -> int:
    from stereo import scoring

    encoding = _encoding(args.kind, args.scale)
    own = _encoding(args.truth_kind, args.truth_scale)
    measured = scoring.score_files(
        args.result, args.truth, mask=args.mask, benchmark=args.benchmark or "middlebury", encoding=encoding,
        truth_encoding=own or encoding,
    )  # fmt: skip
    table = scoring.file_table(measured)
    _show_scores(args.output, table, scoring.file_json(measured, result=args.result, truth=args.truth))
    return 0


def _score_folder(args: argparse.Namespace) -> int:
    from stereo import scoring
    from stereo.datasets import find_pairs
    from stereo.search_range import parse_range
    from stereo.settings import DEFAULT_PRESET, preset_settings

    encoding = _encoding(args.kind, args.scale)
    search_range = None if args.range is None else parse_range(args.range)
    if args.results is None:
        if encoding is not None:
            raise UsageError("--kind and --scale belong to files of results; give --results DIR, or leave them out")
        preset_settings(args.preset or DEFAULT_PRESET)
    elif search_range is not None or args.threads is not None:
        raise UsageError("--range and --threads belong to our own matching; leave them out, or --results")
    found = find_pairs(args.result)
    entries = [entry for entry in found if entry.truth is not None]
    if not entries:
        raise InputError(
            f"{args.result}: its {len(found)} pairs have no truth (a test set?); there is nothing to measure against"
        )
    if len(entries) < len(found):
        say(f"{len(found) - len(entries)} of {len(found)} pairs have no truth and are left out")
    with Progress(len(entries), "stereo score:") as progress:
        rows, failures = scoring.score_pairs(
            entries,
            preset=args.preset,
            search_range=search_range,
            threads=args.threads,
            results=args.results,
            encoding=encoding,
            maps=args.output / scoring.MAPS_NAME if args.keep_maps else None,
            begin=progress.begin,
        )
    if not rows:
        raise failures[0].error
    source = f"preset {args.preset or DEFAULT_PRESET}" if args.results is None else f"results {args.results}"
    _show_scores(args.output, scoring.pairs_table(rows), scoring.as_json(rows, failures, source=source))
    for failure in failures:
        say(f"stereo: error: {failure.entry.name}: {failure.error}")
    if failures:
        say(f"{len(failures)} of {len(entries)} pairs could not be scored; the table is of the others")
    return PART_FAILED if failures else 0


def _encoding(kind: str | None, scale: float | None) -> "Encoding | None":
    from stereo.encodings import Encoding

    if kind is None and scale is None:
        return None
    if kind == "scaled" and scale is None:
        raise UsageError("--kind scaled needs --scale: the stored units per px")
    return Encoding(kind or "scaled", 1.0 if scale is None else scale)  # type: ignore[arg-type]  # argparse has checked it


def _show_scores(folder: Path | None, table: list[str], text: str) -> None:
    from stereo.scoring import write_scores

    for line in table:
        print(line)
    if folder is not None:
        for path in write_scores(folder, table, text):
            announce(path)


def _demo(args: argparse.Namespace) -> int:
    from stereo import demo

    for line in demo.run_demo(args.output).lines:
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
