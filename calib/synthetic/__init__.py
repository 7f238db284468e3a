"""An exact renderer of boards and textured scenes, with the truth behind every pixel: for the tests and for `stereo demo`.

Bottom to top: `texture` (materials), `scene` (surfaces, rays, light), `render` (photos and truth), `board` (chessboards),
`demo` (a rig and a room).
"""

from calib.synthetic.board import Chessboard, board_corners, board_views, render_board, render_board_pairs
from calib.synthetic.demo import demo_rig, demo_scene, toe_in_rig
from calib.synthetic.render import (
    RenderedPair,
    Truth,
    View,
    expose,
    is_visible,
    pixel_grid,
    render_light,
    render_pair,
    render_truth,
    seen_points,
    views,
)
from calib.synthetic.scene import Primitive, Quad, Scene, Sphere, Tube
from calib.synthetic.texture import Bricks, Checker, Flat, Material, Noise, Painting, Planks, Stripes, octaves, value_noise

__all__ = [
    "Bricks",
    "Checker",
    "Chessboard",
    "Flat",
    "Material",
    "Noise",
    "Painting",
    "Planks",
    "Primitive",
    "Quad",
    "RenderedPair",
    "Scene",
    "Sphere",
    "Stripes",
    "Truth",
    "Tube",
    "View",
    "board_corners",
    "board_views",
    "demo_rig",
    "demo_scene",
    "expose",
    "is_visible",
    "octaves",
    "pixel_grid",
    "render_board",
    "render_board_pairs",
    "render_light",
    "render_pair",
    "render_truth",
    "seen_points",
    "toe_in_rig",
    "value_noise",
    "views",
]
