"""Are faults named, and good captures left in peace? `python -m bench.faults [--trials 20] [--clean 50] [--alone] [FAULT ...]`.

For every fault of `calib.synthetic.spoil` (simulated corners) and for those that need photos: in how many of the trials its
name came first, and what came instead. Then clean captures of eight rigs, 10 to 30 pairs, noise of 0.05 to 0.5 px, some with
1 % of outliers: how many were warned about. Mentions are no warnings; the two invisible faults must be mentioned every time.

With `--alone` each camera is solved alone and nothing more, as where the solver gives up; else the whole solver
runs.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.board_drawing import board_image
from calib.camera import Camera
from calib.detect import detect_pairs
from calib.errors import CalibrationError
from calib.faults import Fault, diagnose
from calib.faults_images import check_images
from calib.geometry import rotation_from_vector
from calib.model_search import find_fit
from calib.synthetic.spoil import SPOILERS, Spoiled, clean
from calib.target import Target

CHARUCO = Target("charuco", 7, 6, 0.030, 0.022, "DICT_5X5_100")
_CAMERA = Camera(640, 480, 600.0, 600.0, 320.0, 240.0, np.zeros(0))
_BASELINE_M = 0.08
_SCALE = 3000.0  # px per m in the drawing
_PHOTOS = 6

Photos = tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]


def photos(drawn: Target, rng: np.random.Generator, count: int = _PHOTOS) -> Photos:
    """Pairs of grey photos of a board, without distortion."""
    board = board_image(drawn, _SCALE)
    middle = np.append(drawn.outline_m().mean(0), 0.0)
    to_board = np.array([[1 / _SCALE, 0, -board.origin_uv[0] / _SCALE], [0, 1 / _SCALE, -board.origin_uv[1] / _SCALE], [0, 0, 1]])
    shots: Photos = ([], [])
    for _ in range(count):
        R = rotation_from_vector(np.radians(rng.uniform([-25, -25, -10], [25, 25, 10])))
        t = np.array([rng.uniform(-0.02, 0.06), rng.uniform(-0.03, 0.03), rng.uniform(0.36, 0.5)]) - R @ middle
        for side, shown in enumerate(shots):
            here = t - np.array([_BASELINE_M * side, 0.0, 0.0])
            H = _CAMERA.K @ np.stack([R[:, 0], R[:, 1], here], -1) @ to_board
            # the drawing is finer than the photo: blur it to the photo's pixels first
            soft = cv2.GaussianBlur(board.image, (0, 0), 1.2)
            image = cv2.warpPerspective(soft, H, _CAMERA.size, flags=cv2.INTER_LINEAR, borderValue=130.0)
            noisy = 30.0 + 0.75 * np.asarray(image, np.float64) + rng.normal(0.0, 2.0, image.shape)
            shown.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return shots


def wrong_dictionary(rng: np.random.Generator) -> tuple[Fault, ...]:
    """The board bears markers of another dictionary than the one that is asked for."""
    other = str(rng.choice(["DICT_4X4_50", "DICT_6X6_250", "DICT_APRILTAG_36h11"]))
    return diagnose(detect_pairs(*photos(replace(CHARUCO, dictionary=other), rng), CHARUCO))


def legacy_board(rng: np.random.Generator) -> tuple[Fault, ...]:
    """A board of the layout before OpenCV 4.6 with an even number of rows."""
    return diagnose(detect_pairs(*photos(replace(CHARUCO, legacy=True), rng), CHARUCO))


def colour_and_grey(rng: np.random.Generator) -> tuple[Fault, ...]:
    """One camera in colour."""
    left, right = photos(CHARUCO, rng, 1)
    tinted = [np.stack([i, np.clip(i * 0.97, 0, 255).astype(np.uint8), i], -1) for i in left]
    return check_images(tinted, right) if rng.random() < 0.5 else check_images(right, tinted)


PHOTO_FAULTS: dict[str, tuple[str, Callable[[np.random.Generator], tuple[Fault, ...]]]] = {
    "wrong dictionary": ("wrong-dictionary", wrong_dictionary),
    "legacy board": ("legacy-board", legacy_board),
    "colour and grey": ("colour-grey-mix", colour_and_grey),
}


def judge(spoiled: Spoiled, *, alone: bool) -> tuple[Fault, ...]:
    """The faults of a simulated capture, by way of the solver or not."""
    fit = None
    if not alone:
        try:
            fit = find_fit(spoiled.views, model=spoiled.model, warp="auto", progress=lambda _: None).fit
        except CalibrationError:
            fit = None
    return diagnose(spoiled.views, fit, model=spoiled.model)


def first_name(faults: tuple[Fault, ...], wanted: str) -> str:
    """The fault named first; mentions count only where one is what is wanted."""
    names = [fault.name for fault in faults if fault.severity != "mention" or fault.name == wanted]
    return names[0] if names else "none"


def invisible_mentioned(faults: tuple[Fault, ...]) -> bool:
    """Whether both faults that no picture shows are mentioned, with advice."""
    return {fault.name for fault in faults if fault.advice} >= {"constant-lag", "square-size"}


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--clean", type=int, default=50)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("faults", nargs="*", metavar="FAULT")
    args = parser.parse_args(argv)
    right = total = mentioned = captures = 0
    start = time.perf_counter()
    print(f"{'fault':26s} {'first':>7s}  instead")
    for name in args.faults or [*SPOILERS, *PHOTO_FAULTS]:
        got: Counter[str] = Counter()
        wanted = (SPOILERS.get(name) or PHOTO_FAULTS[name])[0]
        for trial in range(args.trials):
            rng = np.random.default_rng([trial, *name.encode()])
            if name in SPOILERS:
                faults = judge(SPOILERS[name][1](rng), alone=args.alone)
                captures, mentioned = captures + 1, mentioned + invisible_mentioned(faults)
            else:
                faults = PHOTO_FAULTS[name][1](rng)
            got[first_name(faults, wanted)] += 1
        right, total = right + got[wanted], total + args.trials
        others = ", ".join(f"{other} {count}" for other, count in got.items() if other != wanted)
        print(f"{name:26s} {got[wanted]:3d}/{args.trials:<3d}  {others}", flush=True)
    if total:
        print(f"named first: {right} of {total} ({right / total:.1%})")
    if args.clean and not args.faults:
        alarms: Counter[str] = Counter()
        for trial in range(args.clean):
            faults = judge(Spoiled(clean(np.random.default_rng([trial, 7]))), alone=args.alone)
            captures, mentioned = captures + 1, mentioned + invisible_mentioned(faults)
            alarms[first_name(faults, "none")] += 1
        print(f"clean captures: {args.clean - alarms['none']} of {args.clean} warned about {dict(alarms)}")
    print(f"the two invisible faults mentioned in {mentioned} of {captures} captures; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
