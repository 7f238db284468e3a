"""Scenes of flat quads, spheres and tubes, and the nearest hit of many rays that leave one point."""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib.errors import UsageError
from calib.geometry import Array, frozen
from calib.synthetic.texture import Float32, Material


class Primitive(Protocol):
    """A surface. Rays and points come as rows, (3, N), in the frame of the scene (x right, y down, z forward), metres."""

    @property
    def material(self) -> Material:
        """What it is painted with."""
        ...

    def bounds(self) -> tuple[Array, float]:
        """Centre and radius of a sphere around it, metres."""
        ...

    def hit(self, origin: Array, directions: Array) -> Array:
        """(N,) smallest s > 0 with `origin + s * direction` on the surface; +inf where there is none."""
        ...

    def normals(self, points: Array) -> Array:
        """(3, N) unit normals at surface points (either side)."""
        ...

    def surface(self, points: Array) -> Array:
        """(2 | 3, N) coordinates in which the material is defined, metres."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Quad:
    """A flat rectangle."""

    centre_m: Array
    """(3,)"""
    right: Array
    """(3,) direction of the rectangle's first side (made unit length)"""
    down: Array
    """(3,) direction of its second side (made unit length and perpendicular to `right`)"""
    size_m: tuple[float, float]
    """full lengths of the two sides"""
    material: Material

    def __post_init__(self) -> None:
        right = _unit(self.right)
        down = np.asarray(self.down, np.float64)
        _freeze(self, centre_m=self.centre_m, right=right, down=_unit(down - (down @ right) * right))

    def bounds(self) -> tuple[Array, float]:
        """See `Primitive`."""
        return self.centre_m, 0.5 * float(np.hypot(*self.size_m))

    def hit(self, origin: Array, directions: Array) -> Array:
        """See `Primitive`."""
        normal = np.cross(self.right, self.down)
        gap = self.centre_m - origin
        with np.errstate(divide="ignore", invalid="ignore"):
            s = (normal @ gap) / (normal @ directions)
            inside = (np.abs(s * (self.right @ directions) - self.right @ gap) <= 0.5 * self.size_m[0]) & (
                np.abs(s * (self.down @ directions) - self.down @ gap) <= 0.5 * self.size_m[1]
            )
        return np.where(inside & (s > 0.0), s, np.inf)

    def normals(self, points: Array) -> Array:
        """See `Primitive`."""
        return np.repeat(np.cross(self.right, self.down)[:, None], points.shape[1], axis=1)

    def surface(self, points: Array) -> Array:
        """See `Primitive`: along `right` and `down` from the centre."""
        return np.stack([self.right, self.down]) @ (points - self.centre_m[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class Sphere:
    """A ball."""

    centre_m: Array
    """(3,)"""
    radius_m: float
    material: Material

    def __post_init__(self) -> None:
        _freeze(self, centre_m=self.centre_m)

    def bounds(self) -> tuple[Array, float]:
        """See `Primitive`."""
        return self.centre_m, self.radius_m

    def hit(self, origin: Array, directions: Array) -> Array:
        """See `Primitive`."""
        gap = origin - self.centre_m
        a = np.einsum("in,in->n", directions, directions)
        near, far = _nearest_root(a, gap @ directions, float(gap @ gap) - self.radius_m**2)
        return np.minimum(near, far)

    def normals(self, points: Array) -> Array:
        """See `Primitive`."""
        return (points - self.centre_m[:, None]) / self.radius_m

    def surface(self, points: Array) -> Array:
        """See `Primitive`: solid coordinates from the centre."""
        return points - self.centre_m[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """A round pole without end caps."""

    start_m: Array
    """(3,) one end of the axis"""
    end_m: Array
    """(3,) the other end"""
    radius_m: float
    material: Material

    def __post_init__(self) -> None:
        _freeze(self, start_m=self.start_m, end_m=self.end_m)

    def bounds(self) -> tuple[Array, float]:
        """See `Primitive`."""
        half = 0.5 * (self.end_m - self.start_m)
        return self.start_m + half, float(np.hypot(np.linalg.norm(half), self.radius_m))

    def hit(self, origin: Array, directions: Array) -> Array:
        """See `Primitive`."""
        axis, length = _unit(self.end_m - self.start_m), float(np.linalg.norm(self.end_m - self.start_m))
        gap = origin - self.start_m
        along_ray, along_gap = axis @ directions, float(axis @ gap)
        across = directions - axis[:, None] * along_ray
        gap_across = gap - axis * along_gap
        a = np.einsum("in,in->n", across, across)
        roots = _nearest_root(a, gap_across @ across, float(gap_across @ gap_across) - self.radius_m**2)
        found = np.full(directions.shape[1], np.inf)
        for s in reversed(roots):
            with np.errstate(invalid="ignore"):
                height = along_gap + s * along_ray
                found = np.where(np.isfinite(s) & (height >= 0.0) & (height <= length), s, found)
        return found

    def normals(self, points: Array) -> Array:
        """See `Primitive`."""
        axis = _unit(self.end_m - self.start_m)
        arm = points - self.start_m[:, None]
        return (arm - axis[:, None] * (axis @ arm)) / self.radius_m

    def surface(self, points: Array) -> Array:
        """See `Primitive`: two coordinates across the axis, then the height along it."""
        axis = _unit(self.end_m - self.start_m)
        first = _unit(np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))]))
        return np.stack([first, np.cross(axis, first), axis]) @ (points - self.start_m[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Surfaces, one lamp and what is seen where there is no surface."""

    primitives: tuple[Primitive, ...]
    lamp_m: Array = field(default_factory=lambda: np.array([-1.5, -2.5, -0.5]))
    """(3,) a point lamp; casts shadows"""
    ambient: float = 0.45
    """share of the light that comes from everywhere, 0..1"""
    backdrop: tuple[float, float, float] = (0.75, 0.7, 0.65)
    """(blue, green, red) where a ray hits nothing"""

    def __post_init__(self) -> None:
        if not self.primitives:
            raise UsageError("scene: it has 0 surfaces; give it at least 1")
        _freeze(self, lamp_m=self.lamp_m)

    def cast(self, origin: Array, directions: Array) -> tuple[Array, NDArray[np.int64]]:
        """Nearest hit of rays that leave one point.

        Parameters
        ----------
        origin : (3,) array, metres
        directions : (3, N) array, any length

        Returns
        -------
        distance : (N,) array
            In units of each direction's length (so it is the depth for directions with z = 1); +inf where nothing is hit.
        index : (N,) array
            Which primitive; -1 for none.
        """
        count = directions.shape[1]
        distance, index = np.full(count, np.inf), np.full(count, -1, np.int64)
        middle, cosine = _cone(directions)
        for i, primitive in enumerate(self.primitives):
            if _misses(primitive, origin, middle, cosine):
                continue
            s = primitive.hit(origin, directions)
            nearer = s < distance
            if nearer.any():
                distance = np.where(nearer, s, distance)
                index[nearer] = i
        return distance, index

    def shade(self, origin: Array, directions: Array) -> Float32:
        """Colours seen along rays: albedo times ambient and Lambert's light, with shadows. (3,), (3, N) -> (3, N) float32."""
        distance, index = self.cast(origin, directions)
        colour = np.repeat(np.array(self.backdrop, np.float32)[:, None], directions.shape[1], axis=1)
        for i in np.unique(index[index >= 0]):
            chosen = np.flatnonzero(index == i)
            primitive = self.primitives[i]
            rays = directions[:, chosen]
            points = origin[:, None] + distance[chosen] * rays
            normals = primitive.normals(points)
            normals *= -np.sign(np.einsum("in,in->n", normals, rays))  # towards the viewer
            beam = points - self.lamp_m[:, None]
            cosine = -np.einsum("in,in->n", normals, beam) / np.linalg.norm(beam, axis=0)
            lit = np.maximum(cosine, 0.0)
            facing = np.flatnonzero(cosine > 0.0)
            if len(facing):
                nearest, _ = self.cast(self.lamp_m, beam[:, facing])
                lit[facing[nearest < 1.0 - 1e-4]] = 0.0  # 0.1 mm per metre keeps a surface from shading itself
            light = (self.ambient + (1.0 - self.ambient) * lit).astype(np.float32)
            colour[:, chosen] = primitive.material.colour(primitive.surface(points)) * light
        return colour


def _nearest_root(a: Array, half_b: Array, c: float) -> tuple[Array, Array]:
    """Both roots of a s^2 + 2 half_b s + c = 0, nearer first; +inf where not real or not positive."""
    disc = half_b * half_b - a * c
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.where(disc > 0.0, disc, np.nan))
        roots = [(-half_b - root) / a, (-half_b + root) / a]
    near, far = (np.where(s > 0.0, s, np.inf) for s in roots)
    return near, far


def _cone(directions: Array) -> tuple[Array, float]:
    """Axis of a cone around all directions, and the cosine of its half-angle (-1 where there is none)."""
    units = directions / np.sqrt(np.einsum("in,in->n", directions, directions))
    middle = units.sum(1)
    length = float(np.linalg.norm(middle))
    if not length > 0.0:
        return np.array([0.0, 0.0, 1.0]), -1.0
    middle = middle / length
    return middle, float((middle @ units).min())


def _misses(primitive: Primitive, origin: Array, middle: Array, cosine: float) -> bool:
    """True when no ray of the cone can reach the primitive's bounding sphere."""
    centre, radius = primitive.bounds()
    gap = centre - origin
    reach = math.sqrt(float(gap @ gap))
    if reach <= radius:
        return False
    apart = math.acos(min(max(float(gap @ middle) / reach, -1.0), 1.0))
    return apart > math.acos(min(max(cosine, -1.0), 1.0)) + math.asin(radius / reach) + 1e-9


def _unit(vector: ArrayLike) -> Array:
    v = np.asarray(vector, np.float64)
    length = float(np.linalg.norm(v))
    if not (np.isfinite(length) and length > 1e-12):
        raise UsageError(f"scene: direction {v.tolist()} has length {length:g}; it must be finite and longer than 1e-12")
    return v / length


def _freeze(instance: object, **values: ArrayLike) -> None:
    for name, value in values.items():
        array = np.array(value, np.float64).reshape(3)
        frozen(array)
        object.__setattr__(instance, name, array)
