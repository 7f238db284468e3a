"""Boards to print and to render: `draw_board` writes PDF, SVG or PNG at exact scale, `board_image` gives pixels."""

from calib.board_drawing.paper import PAPERS_MM as PAPERS_MM
from calib.board_drawing.raster import BoardImage as BoardImage
from calib.board_drawing.raster import board_image as board_image
from calib.board_drawing.sheet import DrawnBoard as DrawnBoard
from calib.board_drawing.sheet import draw_board as draw_board
