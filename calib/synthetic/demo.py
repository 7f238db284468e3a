"""The rig and the room of `stereo demo`."""

import numpy as np

from calib.camera import Camera
from calib.geometry import Array, rotation_from_vector
from calib.rig import StereoRig
from calib.synthetic.scene import Primitive, Quad, Scene, Sphere, Tube
from calib.synthetic.texture import Bricks, Flat, Material, Noise, Painting, Planks, Stripes


def demo_rig() -> StereoRig:
    """Two 640 x 480 cameras, 120 mm apart, turned inwards so that they meet at about 2.3 m; mild distortion, unequal lenses.

    Points nearer than about 2.1 m have positive disparities after rectification, farther ones negative.
    """
    left = Camera(640, 480, 588.4, 587.9, 322.7, 236.8, np.array([-0.112, 0.081, 0.0006, -0.0004, -0.014]))
    right = Camera(640, 480, 591.3, 590.6, 316.2, 241.9, np.array([-0.105, 0.069, -0.0005, 0.0007, -0.009]))
    return toe_in_rig(left, right, baseline_m=0.12, meeting_m=2.3, roll_deg=0.25, pitch_deg=-0.2)


def toe_in_rig(
    left: Camera, right: Camera, *, baseline_m: float, meeting_m: float, roll_deg: float = 0.0, pitch_deg: float = 0.0
) -> StereoRig:
    """Two cameras turned inwards by equal angles, so that their axes meet; the right one may be rolled and pitched."""
    half = float(np.arctan(0.5 * baseline_m / meeting_m))
    R_left_rig = rotation_from_vector([0.0, -half, 0.0])
    askew = rotation_from_vector(np.radians([pitch_deg, 0.0, roll_deg]))
    R_right_rig = askew @ rotation_from_vector([0.0, half, 0.0])
    R_right_left = R_right_rig @ R_left_rig.T
    return StereoRig(left, right, R_right_left, -R_right_rig @ np.array([baseline_m, 0.0, 0.0]), {"tool": "calib.synthetic"})


def demo_scene() -> Scene:
    """A room between 1.2 and 6 m in the left camera's frame.

    A brick wall with a bare plastered patch, a plank floor that slopes, a table with a ball, two balls on the floor, thin poles,
    and a canvas that stands in front.
    """
    return Scene(tuple(_room() + _table() + _balls() + _poles() + _canvas()), lamp_m=np.array([-1.9, -2.6, 0.3]), ambient=0.5)


def floor_y(x: float, z: float) -> float:
    """Height (y, downwards, metres) of the demo's floor."""
    return 1.02 - 0.035 * (z - 3.0) + 0.03 * x


def _room() -> list[Primitive]:
    bricks = Bricks((0.22, 0.30, 0.50), (0.42, 0.56, 0.80), (0.66, 0.70, 0.72), (0.46, 0.17), 0.022, 0.012, seed=11)
    planks = Planks((0.20, 0.33, 0.50), (0.48, 0.66, 0.84), 0.24, 2.1, 0.012, 0.008, seed=23)
    plaster = Flat((0.80, 0.84, 0.84))
    wall_right = np.array([1.0, 0.0, -0.10])
    wall = Quad(np.array([0.3, -0.6, 5.6]), wall_right, np.array([0.0, 1.0, 0.02]), (16.0, 7.0), bricks)
    towards = np.cross(wall.right, wall.down)
    bare = Quad(wall.centre_m - 1.0 * wall.right - 0.35 * wall.down - 0.02 * towards, wall.right, wall.down, (1.5, 1.1), plaster)
    floor = Quad(
        np.array([0.0, floor_y(0.0, 3.0), 3.0]), np.array([1.0, 0.03, 0.0]), np.array([0.0, -0.035, 1.0]), (16.0, 9.0), planks
    )
    return [wall, bare, floor]


def _table() -> list[Primitive]:
    top_wood = Planks((0.16, 0.28, 0.46), (0.36, 0.55, 0.78), 0.15, 1.7, 0.005, 0.005, seed=31)
    leg_wood = Noise((0.16, 0.26, 0.42), (0.34, 0.50, 0.70), 0.04, 0.005, seed=32, stretch=(1.0, 1.0, 5.0))
    right, down = np.array([1.0, 0.0, 0.12]), np.array([-0.12, -0.0, 1.0])
    centre = np.array([0.86, 0.42, 2.35])
    unit_right, unit_down = right / np.linalg.norm(right), down / np.linalg.norm(down)
    edge_centre = centre - 0.375 * unit_down + np.array([0.0, 0.025, 0.0])
    parts: list[Primitive] = [
        Quad(centre, down, right, (0.75, 1.1), top_wood),
        Quad(edge_centre, unit_right, np.array([0.0, 1.0, 0.0]), (1.1, 0.05), leg_wood),
    ]
    for a in (-0.5, 0.5):
        for b in (-0.32, 0.32):
            foot = centre + a * unit_right + b * unit_down
            end = np.array([foot[0], floor_y(foot[0], foot[2]), foot[2]])
            parts.append(Tube(foot, end, 0.022, leg_wood))
    return parts


def _balls() -> list[Primitive]:
    clay = Painting(((0.30, 0.55, 0.92), (0.86, 0.90, 0.94), (0.72, 0.46, 0.18), (0.40, 0.72, 0.90)), 0.12, 0.004, seed=47)
    glaze = Noise((0.52, 0.32, 0.08), (0.92, 0.82, 0.58), 0.14, 0.008, seed=41)
    moss = Noise((0.16, 0.36, 0.18), (0.50, 0.80, 0.60), 0.16, 0.008, seed=43)
    return [
        Sphere(np.array([0.80, 0.42 - 0.21, 2.35]), 0.21, clay),
        _ball_on_floor(-0.55, 3.5, 0.42, glaze),
        _ball_on_floor(0.42, 4.25, 0.34, moss),
    ]


def _ball_on_floor(x: float, z: float, radius_m: float, material: Material) -> Sphere:
    return Sphere(np.array([x, floor_y(x, z) - radius_m, z]), radius_m, material)


def _poles() -> list[Primitive]:
    banded = Stripes((0.18, 0.18, 0.78), (0.90, 0.92, 0.92), 0.16, 2, 0.006, seed=53)
    steel = Noise((0.34, 0.32, 0.30), (0.78, 0.76, 0.72), 0.05, 0.006, seed=59)

    def pole(x: float, z: float, lean: float, radius_m: float, material: Material) -> Tube:
        return Tube(np.array([x, floor_y(x, z), z]), np.array([x + lean, -2.2, z - 0.1]), radius_m, material)

    return [pole(0.12, 2.9, 0.05, 0.014, banded), pole(0.0, 3.9, -0.06, 0.018, steel), pole(1.75, 3.4, 0.1, 0.016, banded)]


def _canvas() -> list[Primitive]:
    paint = Painting(
        ((0.62, 0.36, 0.14), (0.84, 0.74, 0.50), (0.70, 0.88, 0.94), (0.22, 0.52, 0.88), (0.26, 0.24, 0.62)), 0.22, 0.003, seed=61
    )
    wood = Noise((0.14, 0.22, 0.34), (0.30, 0.44, 0.60), 0.03, 0.004, seed=67, stretch=(1.0, 1.0, 6.0))
    right, down = np.array([1.0, 0.0, -0.35]), np.array([0.0, 1.0, 0.12])
    canvas = Quad(np.array([-0.50, 0.16, 1.35]), right, down, (0.42, 0.50), paint)
    lower = canvas.centre_m + 0.25 * canvas.down
    legs: list[Primitive] = []
    for side in (-0.16, 0.16):
        top: Array = lower + side * canvas.right
        legs.append(Tube(top, top + np.array([0.0, floor_y(top[0], top[2]) - top[1], 0.06]), 0.011, wood))
    return [canvas, *legs]
