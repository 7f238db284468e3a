"""Simulated captures, solved many times, against their truth: sigmas of rigs and of depth, the board's bow, convergence."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

import numpy as np

from calib.depth_sigma import depth_sigma
from calib.errors import StereoError
from calib.geometry import Array, vector_from_rotation
from calib.model_search import find_fit
from calib.rig import StereoRig
from calib.synthetic.capture import Capture, simulate
from calib.synthetic.rigs import simulated_rigs, tilt_limit_deg
from calib.target import Target

BOARD = Target("chessboard", 9, 6, 0.03)
PAIRS = 20
OUTLIERS = 0.05
NOISE_PX = (0.05, 0.5)
DEPTHS_M = (1.0, 2.0, 5.0, 10.0)
DEPTH_NOISE_PX = 0.1
BOW_M = (0.001, -0.0005)
_INSET = 0.1  # of the image: where its corners are judged

T = TypeVar("T")
J = TypeVar("J")


def spread(work: Callable[[J], T], jobs: Sequence[J]) -> list[T]:
    """The work done for each job, on all processors, in order."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, jobs, chunksize=4))


def true_model(rig: StereoRig) -> str:
    """The lens model that a simulated rig was made with."""
    return "fisheye" if rig.left.is_fisheye else f"radtan{len(rig.left.distortion)}"


def capture_of(name: str, seed: int) -> Capture:
    """A random capture by one of the simulated rigs: 20 pairs, noise of 0.05 to 0.5 px, 5 % gross outliers."""
    rng = np.random.default_rng(seed)
    noise = float(np.exp(rng.uniform(*np.log(NOISE_PX))))
    rig = simulated_rigs()[name]
    return simulate(rig, BOARD, PAIRS, noise_px=noise, outlier_share=OUTLIERS, tilt_deg=tilt_limit_deg(name), seed=seed)


def errors_of(rig: StereoRig, truth: StereoRig) -> Array:
    """(P,) true minus solved, in the order of the covariance."""
    names = ("focal_x_px", "focal_y_px", "centre_x_px", "centre_y_px")
    parts = []
    for solved, camera in ((rig.left, truth.left), (rig.right, truth.right)):
        parts.append(np.array([getattr(camera, name) - getattr(solved, name) for name in names]))
        parts.append(np.asarray(camera.distortion) - np.asarray(solved.distortion))
    turn = vector_from_rotation(truth.R_right_left @ rig.R_right_left.T)
    return np.concatenate([*parts, turn, truth.t_right_left_m - rig.t_right_left_m])


@dataclass(frozen=True, slots=True, eq=False)
class Pulls:
    """Errors over their sigmas, for one rig."""

    names: tuple[str, ...]
    pulls: Array
    """(trials, P)"""
    failures: tuple[str, ...]

    @property
    def pooled(self) -> float:
        """Rms of all; 1 is right."""
        return float(np.sqrt((self.pulls**2).mean()))

    @property
    def each(self) -> Array:
        """(P,) rms of each parameter."""
        return np.asarray(np.sqrt((self.pulls**2).mean(0)))

    @property
    def bias(self) -> Array:
        """(P,) mean of each, in sigmas."""
        return np.asarray(self.pulls.mean(0))


def pulls(name: str, trials: int, *, seed: int = 0) -> Pulls:
    """Solve a simulated rig again and again, its lens model known, noise and poses drawn anew."""
    found = spread(_pull, [(name, 100_000 * seed + trial) for trial in range(trials)])
    names = simulated_rigs()[name].parameter_names
    good = [one for one in found if not isinstance(one, str)]
    return Pulls(names, np.array(good), tuple(one for one in found if isinstance(one, str)))


def _pull(job: tuple[str, int]) -> Array | str:
    name, seed = job
    truth = simulated_rigs()[name]
    try:
        rig = find_fit(capture_of(name, seed).views, model=true_model(truth), warp="off").fit.rig
    except StereoError as error:
        return f"seed {seed}: {error}"
    assert rig.covariance is not None
    return np.asarray(errors_of(rig, truth) / rig.covariance.sigmas)


@dataclass(frozen=True, slots=True, eq=False)
class DepthCheck:
    """Predicted sigma of depth over that of many solutions of one capture with new noise."""

    ratio_centre: Array
    """(depths,) 1 is right; NaN where no such point is seen by both cameras"""
    ratio_corners: Array
    """(depths, 4)"""
    predicted_share: Array
    """(depths, 5) the sigmas themselves over depth: centre, corners"""


def depth_check(name: str, trials: int, *, seed: int = 7) -> DepthCheck:
    """Fix pairs of pixels and look at the depths that the solved rigs give them."""
    found = [one for one in spread(_depths, [(name, seed, trial) for trial in range(trials)]) if one is not None]
    depths, sigmas = (np.array([one[k] for one in found]) for k in (0, 1))
    seen = np.isfinite(depths).all(0) & np.isfinite(sigmas).all(0)
    with np.errstate(invalid="ignore"):
        predicted = np.where(seen, np.sqrt((sigmas**2).mean(0)), np.nan)
        ratio = predicted / np.where(seen, depths.std(0, ddof=1), np.nan)
    return DepthCheck(ratio[:, 0], ratio[:, 1:], predicted / np.array(DEPTHS_M)[:, None])


def _depths(job: tuple[str, int, int]) -> tuple[Array, Array] | None:
    """Depths and their predicted sigmas, (depths, 5) each, from one solution."""
    name, seed, trial = job
    truth = simulated_rigs()[name]
    held = simulate(truth, BOARD, PAIRS, noise_px=0.0, tilt_deg=tilt_limit_deg(name), seed=seed)
    views = simulate(truth, BOARD, PAIRS, noise_px=DEPTH_NOISE_PX, poses=held.poses_left, seed=1000 + trial).views
    try:
        rig = find_fit(views, model=true_model(truth), warp="off").fit.rig
    except StereoError:
        return None
    low, high = _INSET, 1.0 - _INSET
    uv = np.array([[0.5, 0.5], [low, low], [high, low], [low, high], [high, high]]) * truth.left.size
    rays = truth.left.unproject(uv)
    points = rays / rays[:, 2:] * np.array(DEPTHS_M)[:, None, None]
    right = truth.right.project(points @ truth.R_right_left.T + truth.t_right_left_m)
    inside = np.asarray(((right >= 0.0) & (right <= np.array(truth.right.size) - 1.0)).all(-1))
    depth = _triangulated(rig, np.broadcast_to(uv, right.shape), np.where(inside[..., None], right, np.nan))
    known = np.isfinite(depth) & (depth > 0.0)
    sigma = depth_sigma(rig, np.broadcast_to(uv, right.shape), np.where(known, depth, 1.0))
    return depth, np.where(known, sigma, np.nan)


def _triangulated(rig: StereoRig, left: Array, right: Array) -> Array:
    """Depth of the point in which the two rays come nearest."""
    a = rig.left.unproject(left)
    b = rig.right.unproject(right) @ rig.R_right_left
    centre = rig.centre_right_m
    aa, bb, ab = (a * a).sum(-1), (b * b).sum(-1), (a * b).sum(-1)
    ac, bc = a @ centre, b @ centre
    scale = aa * bb - ab * ab
    along, across = (ac * bb - bc * ab) / scale, (ac * ab - bc * aa) / scale
    return np.asarray(0.5 * ((along[..., None] * a)[..., 2] + (centre + across[..., None] * b)[..., 2]))


def bow_bias(trials: int) -> tuple[float, float, float]:
    """A board of 240 mm that bows by 1 mm: mean baseline over the true one less 1, taken as bowed and as flat; share chosen."""
    found = spread(_bow, list(range(trials)))
    bowed, flat, chosen = np.array(found).T
    return float(bowed.mean()), float(flat.mean()), float(chosen.mean())


def _bow(seed: int) -> tuple[float, float, float]:
    truth = simulated_rigs()["normal"]
    views = simulate(truth, BOARD, PAIRS, noise_px=0.1, bow_m=BOW_M, seed=seed).views
    rigs = [find_fit(views, model="radtan5", warp=warp).fit for warp in ("auto", "off")]
    shares = [found.rig.baseline_m / truth.baseline_m - 1.0 for found in rigs]
    return shares[0], shares[1], float(rigs[0].warp_m.any())


def good_sets(count: int) -> list[str]:
    """What went wrong with random sound captures, a fifth of them by the fisheye rig: no guess, no model given."""
    return [what for what in spread(_good_set, list(range(count))) if what]


def _good_set(seed: int) -> str:
    rng = np.random.default_rng(10_000 + seed)
    rigs = simulated_rigs()
    plain = [name for name in rigs if name not in ("fisheye", "low-tilt")]
    name = "fisheye" if seed % 5 == 0 else plain[int(rng.integers(len(plain)))]
    pairs, noise = int(rng.integers(8, 31)), float(np.exp(rng.uniform(*np.log(NOISE_PX))))
    views = simulate(rigs[name], BOARD, pairs, noise_px=noise, outlier_share=float(rng.uniform(0.0, 0.05)), seed=seed).views
    label = f"seed {seed}: {name}, {pairs} pairs, {noise:.2f} px"
    try:
        rig = find_fit(views).fit.rig
    except StereoError as error:
        return f"{label}: refused: {error}"
    sigma = rig.baseline_sigma_m
    assert sigma is not None
    off = abs(rig.baseline_m - rigs[name].baseline_m)
    return f"{label}: silent: baseline off by {1e3 * off:.2f} mm, sigma {1e3 * sigma:.3f} mm" if off > 6.0 * sigma else ""
