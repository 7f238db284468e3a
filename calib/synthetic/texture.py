"""Procedural materials, evaluated in surface coordinates (metres), so that both cameras see the same surface.

Colours are (blue, green, red) in 0..1. Coordinates come as rows: (2, N) on flat surfaces, (3, N) on curved ones (solid textures
have neither seams nor poles).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calib.geometry import Array

Float32 = NDArray[np.float32]
Colour = tuple[float, float, float]
"""blue, green, red in 0..1"""

# Odd constants of the 32-bit mixers of Wang and of Mueller ("lowbias32"): every input bit flips about half of the output bits.
_PRIMES = (np.uint32(0x9E3779B1), np.uint32(0x85EBCA77), np.uint32(0xC2B2AE3D))
_MIX_1, _MIX_2 = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)


class Material(Protocol):
    """Anything that gives a colour to a surface."""

    def colour(self, points: Array) -> Float32:
        """Albedo (blue, green, red) of surface points: (2 | 3, N) metres -> (3, N) in 0..1."""
        ...


def lattice(cells: NDArray[np.int32], seed: int) -> Float32:
    """Hash of integer cells: uniform in [0, 1), the same on every machine.

    Parameters
    ----------
    cells : (D, N) int32 array, D <= 3
    seed : any integer

    Returns
    -------
    (N,) float32 array
    """
    h = np.full(cells.shape[1], _start(seed), np.uint32)
    for row, prime in zip(cells.view(np.uint32), _PRIMES, strict=False):
        h = _mixed(h, row * prime)
    return _uniform(h)


def value_noise(points: NDArray[np.floating], cell_m: float, *, seed: int) -> Float32:
    """Band-limited noise: random values on a lattice, joined by Perlin's quintic (SIGGRAPH 2002): smooth to second order.

    Nearly all of its power lies below one cycle per cell.

    Parameters
    ----------
    points : (2 | 3, N) array, metres
    cell_m : width of a lattice cell, metres

    Returns
    -------
    (N,) float32 array in [-1, 1], mean 0
    """
    scaled = np.asarray(points, np.float64) / cell_m
    whole = np.floor(scaled)
    f = (scaled - whole).astype(np.float32)
    fade = f * f * f * (f * (f * np.float32(6.0) - np.float32(15.0)) + np.float32(10.0))
    hashes = [np.full(points.shape[1], _start(seed), np.uint32)]
    for row, prime in zip(whole.astype(np.int32).view(np.uint32), _PRIMES, strict=False):
        terms = row * prime, (row + np.uint32(1)) * prime
        hashes = [_mixed(h, term) for h in hashes for term in terms]  # `lattice` of all corners; the last axis varies fastest
    values = [_uniform(h) for h in hashes]
    for f_axis in fade[::-1]:
        values = [low + f_axis * (high - low) for low, high in zip(values[::2], values[1::2], strict=True)]
    return np.asarray(np.float32(2.0) * values[0] - np.float32(1.0))


def octaves(points: NDArray[np.floating], coarse_m: float, fine_m: float, *, seed: int, fall: float = 0.8) -> Float32:
    """Sum of value noises whose cells halve from `coarse_m` to not below `fine_m`, amplitudes falling by `fall`; in [-1, 1]."""
    total = np.zeros(points.shape[1], np.float32)
    cell, amplitude, norm, octave = coarse_m, 1.0, 0.0, 0
    while cell >= fine_m * 0.999 or octave == 0:
        total += np.float32(amplitude) * value_noise(points, cell, seed=seed + 101 * octave)
        norm += amplitude
        cell, amplitude, octave = cell * 0.5, amplitude * fall, octave + 1
    return np.asarray(total * np.float32(1.0 / norm))


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """One colour: nothing to match."""

    tone: Colour

    def colour(self, points: Array) -> Float32:
        """See `Material`."""
        return np.repeat(_column(self.tone), points.shape[1], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Clouds of several sizes between two colours: stone, plaster, glazed clay."""

    dark: Colour
    light: Colour
    coarse_m: float
    fine_m: float
    seed: int
    contrast: float = 1.6
    """stretches the middle of the noise to the full span of colours"""
    stretch: tuple[float, ...] = (1.0, 1.0, 1.0)
    """coordinates are divided by this: 8 along an axis makes grain along it"""

    def colour(self, points: Array) -> Float32:
        """See `Material`."""
        scale = np.array(self.stretch[: len(points)])[:, None]
        n = octaves(points / scale, self.coarse_m, self.fine_m, seed=self.seed)
        return _blend(self.dark, self.light, 0.5 + 0.5 * self.contrast * n)


@dataclass(frozen=True, slots=True, eq=False)
class Bricks:
    """A wall of bricks in running bond; every brick has its own tone, and all are grainy."""

    dark: Colour
    light: Colour
    mortar: Colour
    size_m: tuple[float, float]
    """length and height of a brick with its joint"""
    joint_m: float
    fine_m: float
    seed: int

    def colour(self, points: Array) -> Float32:
        """See `Material`."""
        course = np.floor(points[1] / self.size_m[1])
        along = points[0] / self.size_m[0] + 0.5 * (course % 2.0)
        brick = np.stack([np.floor(along), course]).astype(np.int32)
        tone = lattice(brick, self.seed)
        grain = octaves(points, 8.0 * self.fine_m, self.fine_m, seed=self.seed + 1)
        colour = _blend(self.dark, self.light, 0.15 + 0.6 * tone + 0.55 * grain)
        into_x = (0.5 - np.abs(along - np.floor(along) - 0.5)) * self.size_m[0]
        into_y = (0.5 - np.abs(points[1] / self.size_m[1] - course - 0.5)) * self.size_m[1]
        joint = _ramp(0.5 * self.joint_m - np.minimum(into_x, into_y), 0.5 * self.fine_m)
        mortar = _column(self.mortar) * (1.0 + np.float32(0.3) * grain)
        return np.asarray(np.clip(colour + joint * (mortar - colour), 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Planks:
    """Wooden boards that run along the second coordinate; every board has its own tone and grain."""

    dark: Colour
    light: Colour
    width_m: float
    length_m: float
    gap_m: float
    fine_m: float
    seed: int

    def colour(self, points: Array) -> Float32:
        """See `Material`."""
        across = points[0] / self.width_m
        board = np.floor(across)
        ends = points[1] / self.length_m + lattice(np.stack([board.astype(np.int32)]), self.seed).astype(np.float64)
        plank = np.stack([board, np.floor(ends)]).astype(np.int32)
        tone = lattice(plank, self.seed + 1)
        shifted = points[:2] + np.stack([np.zeros_like(tone), 7.0 * tone])  # each board is cut from another place of the trunk
        grain = octaves(shifted / np.array([[1.0], [9.0]]), 8.0 * self.fine_m, self.fine_m, seed=self.seed + 2)
        knots = octaves(shifted / np.array([[1.0], [2.0]]), 16.0 * self.fine_m, 2.0 * self.fine_m, seed=self.seed + 3)
        colour = _blend(self.dark, self.light, 0.2 + 0.45 * tone + 0.45 * grain + 0.4 * knots)
        into_x = (0.5 - np.abs(across - board - 0.5)) * self.width_m
        into_y = (0.5 - np.abs(ends - np.floor(ends) - 0.5)) * self.length_m
        gap = _ramp(0.5 * self.gap_m - np.minimum(into_x, into_y), 0.5 * self.fine_m)
        return np.asarray(colour * (1.0 - np.float32(0.65) * gap))


@dataclass(frozen=True, slots=True, eq=False)
class Painting:
    """Patches of several colours with soft rims and a brushed grain: a canvas, or a ball of coloured clay."""

    palette: tuple[Colour, ...]
    patch_m: float
    fine_m: float
    seed: int

    def colour(self, points: Array) -> Float32:
        """See `Material`."""
        level = 0.5 + 0.75 * octaves(points, self.patch_m, 0.4 * self.patch_m, seed=self.seed)
        position = np.clip(level, 0.0, 0.9999) * np.float32(len(self.palette))
        index = position.astype(np.int32)
        rim = np.clip((position - index) * 8.0, 0.0, 1.0).astype(np.float32)  # soft step into each colour
        tones = np.array(self.palette, np.float32).T
        colour = tones[:, np.maximum(index - 1, 0)] * (1.0 - rim) + tones[:, index] * rim
        grain = octaves(points, 8.0 * self.fine_m, self.fine_m, seed=self.seed + 7)
        return np.asarray(np.clip(colour * (1.0 + np.float32(0.45) * grain), 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Stripes:
    """Bands of two colours across one coordinate, slightly worn."""

    first: Colour
    second: Colour
    width_m: float
    axis: int
    fine_m: float
    seed: int

    def colour(self, points: Array) -> Float32:
        """See `Material`."""
        across = points[self.axis] / self.width_m
        odd = _ramp((0.5 - np.abs(across % 2.0 - 1.0)) * self.width_m, 0.5 * self.fine_m)
        wear = octaves(points, 4.0 * self.fine_m, self.fine_m, seed=self.seed)
        return np.asarray(np.clip(_blend(self.first, self.second, odd) * (1.0 + np.float32(0.25) * wear), 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Checker:
    """Squares of two colours in the first two coordinates; the square [0, width) x [0, width) has the first colour."""

    first: Colour
    second: Colour
    width_m: float

    def colour(self, points: Array) -> Float32:
        """See `Material`."""
        cells = np.floor(points[:2] / self.width_m).astype(np.int64).sum(0)
        return _blend(self.first, self.second, (cells & 1).astype(np.float32))


def _start(seed: int) -> int:
    return (seed * 0x27D4EB2F + 0x165667B1) & 0xFFFFFFFF


def _mixed(h: NDArray[np.uint32], term: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """One more coordinate into a hash; a new array."""
    mixed = h ^ term
    mixed ^= mixed >> np.uint32(16)
    mixed *= _MIX_1
    mixed ^= mixed >> np.uint32(15)
    mixed *= _MIX_2
    return mixed


def _uniform(h: NDArray[np.uint32]) -> Float32:
    """[0, 1) from the upper 24 bits of a hash."""
    return np.asarray(((h ^ (h >> np.uint32(16))) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24))


def _column(colour: Colour) -> Float32:
    return np.array(colour, np.float32)[:, None]


def _ramp(beyond_m: Array, width_m: float) -> Float32:
    """A soft step from 0 (`beyond_m` < 0) to 1 (> 0), `width_m` wide: an edge of no width would alias in any renderer."""
    return np.asarray(np.clip(beyond_m / width_m + 0.5, 0.0, 1.0).astype(np.float32))


def _blend(first: Colour, second: Colour, weight: NDArray[np.floating]) -> Float32:
    w = np.clip(weight, 0.0, 1.0).astype(np.float32)
    return np.asarray(_column(first) * (1.0 - w) + _column(second) * w)
