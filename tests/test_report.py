"""The report of a calibration: figures for programs, a page for people, the rig drawn."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from calib import plots, quality_plots, report_page, residual_plots, rig_picture
from calib.camera import Camera
from calib.depth_sigma import depth_sigma
from calib.describe import describe, with_sigma
from calib.detection import BoardViews
from calib.errors import CalibrationError, OutputError, UsageError
from calib.faults_kinds import Fault
from calib.geometry import rotation_from_vector
from calib.known_length import KnownLength, parse_known_length, scaled_to
from calib.report import RunRecord, pair_rows, record_of, report_of, report_path, save_report
from calib.report_page import report_html, save_report_page
from calib.report_text import report_lines
from calib.rig import StereoRig
from calib.solve import SolveResult, solve_rig
from calib.synthetic.capture import simulate
from calib.synthetic.rigs import simulated_rigs
from calib.target import Target, parse_target
from tests.fitting import fit_capture

RIGS = simulated_rigs()
BOARD = Target("chessboard", 9, 6, 0.03)
RECORD = RunRecord({"target": "chessboard:9x6:30mm", "model": "radtan5"}, ("left*.png", "right <&>.png"), [("a.png", "0" * 64)])


@pytest.fixture(scope="module")
def views() -> BoardViews:
    """Eight pairs with gross errors, and two that only one camera sees."""
    return simulate(RIGS["normal"], BOARD, 8, noise_px=0.1, outlier_share=0.03, one_sided=2, seed=4).views


@pytest.fixture(scope="module")
def result(views: BoardViews) -> SolveResult:
    return solve_rig(views, model="radtan5", warp="off")


@pytest.fixture(scope="module")
def page(result: SolveResult, views: BoardViews) -> str:
    return report_html(result, report_of(result, views, RECORD))


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages at once: drawing takes seconds."""
    names = ["rig", "coverage", "pairs", "field", "worst", "scatter", "board", "depth_curve", "depth_maps", "next_poses"]
    monkeypatch.setattr(report_page, "_figures", lambda _: dict.fromkeys(names, "a plot"))


def test_report_holds_what_its_docstring_names(result: SolveResult, views: BoardViews) -> None:
    report = report_of(result, views, RECORD)
    named = set(re.findall(r"``(\w+)``", re.sub(r"\n {12}.*", "", (report_of.__doc__ or "").split("dict\n")[-1])))
    assert set(report) == named
    assert report_of(replace(result, quality=replace(result.quality, depth=())), views)["depth_map"] is None
    fit = result.fit
    assert report["schema"] == 2
    assert report["stereo_rms_px"] == pytest.approx(fit.rms_px)
    assert report["baseline_m"] == fit.rig.baseline_m
    assert abs(report["baseline_m"] - RIGS["normal"].baseline_m) < 5.0 * report["baseline_sigma_m"]
    assert 0.01 < report["rejected_share"] < 0.05
    assert 0.05 < report["held_out_row_error_px"] < 0.3
    assert [row["depth_m"] for row in report["depth"]] == [1.0, 2.0, 5.0, 10.0]
    assert report["target"]["text"] == str(BOARD)
    assert [one["model"] for one in report["candidates"] if one["chosen"]] == ["radtan5"]
    for name, side in (("left", fit.left), ("right", fit.right)):
        corners = report["corners"][name]
        mine = side.kept & (side.ids == 5)
        errors = side.error_px[mine]
        assert corners["rms_px"][5] == pytest.approx(np.sqrt((errors**2).sum(1).mean()))
        assert corners["mean_px"][5] == pytest.approx(errors.mean(0).tolist())
        assert sum(corners["rejected"]) == (~side.kept).sum() > 0
        assert len(corners["rejected"]) == len(corners["rms_px"]) == len(corners["mean_px"]) == 54
    field = report["depth_map"]
    assert np.shape(field["sigma_m"]) == (4, 7, 9)
    assert field["depths_m"] == [1.0, 2.0, 5.0, 10.0]
    sigma = depth_sigma(fit.rig, [field["x_px"][4], field["y_px"][2]], 2.0)
    assert field["sigma_m"][1][2][4] == pytest.approx(float(sigma), rel=1e-3)
    assert set(report["parameters"]) == set(fit.rig.parameter_names)
    assert report["inputs"] == [{"name": "a.png", "sha256": "0" * 64}]
    assert report["versions"]["opencv"] == cv2.__version__


def test_report_is_strict_json_without_nan(result: SolveResult, views: BoardViews, tmp_path: Path) -> None:
    quality = replace(result.quality, tilt_deg=float("nan"), row_errors=None)
    report = report_of(replace(result, quality=quality), views)
    assert report["coverage"]["tilt_deg"] is None
    assert report["held_out_row_error_px"] is None
    assert report["held_out_rows"] is None
    save_report(tmp_path / "rig.report.json", report)
    assert json.loads((tmp_path / "rig.report.json").read_text(encoding="utf-8")) == report
    with pytest.raises(OutputError, match="does not exist"):
        save_report(tmp_path / "none" / "rig.report.json", report)


@pytest.mark.usefixtures("no_plots")
def test_names_that_are_no_text_are_kept(result: SolveResult, views: BoardViews, tmp_path: Path) -> None:
    record = RunRecord({}, ("left\udcff.png",), [("left\udcff.png", "0" * 64)])
    report = report_of(result, views, record)
    save_report(tmp_path / "a.json", report)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["inputs"][0]["name"] == "left\udcff.png"
    save_report_page(tmp_path / "a.html", result, report)
    assert "left\\udcff.png" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_pairs_tell_what_became_of_them(result: SolveResult, views: BoardViews) -> None:
    fit = replace(result.fit, repaired={1: "rows and columns exchanged"}, dropped={2: "contradicts the other pairs"})
    rows = pair_rows(fit, views)
    assert [row["name"] for row in rows] == [pair.name for pair in views.pairs]
    assert [row["used"] for row in rows] == [True, True, False, True, True, True, True, True, False, False]
    assert (rows[1]["repaired"], rows[1]["repair"]) == (True, "rows and columns exchanged")
    assert rows[2]["problem"] == "contradicts the other pairs"
    assert rows[8]["problem"]
    for row in rows:
        square = sum(
            (row[f"rms_{side}_px"] or 0.0) ** 2 * row[f"corners_{side}"] for side in ("left", "right") if row[f"corners_{side}"]
        )
        assert row["rms_px"] == pytest.approx(math.sqrt(square / (row["corners_left"] + row["corners_right"])))
    lost = sum(row["rejected_left"] + row["rejected_right"] for row in rows)
    seen = sum(len(side.ids) for side in fit.sides)
    assert lost == round(result.fit.rejected_share * seen)


def test_what_is_a_fault_is_no_note_too(result: SolveResult) -> None:
    fault = Fault("missing-partner", "mended", "missing pair: a.png is left out", "look for it")
    report = report_of(replace(result, faults=(fault,), notes=(fault.message, "another")))
    assert report["notes"] == ["another"]


def test_lines_for_the_terminal(result: SolveResult, views: BoardViews) -> None:
    fit = replace(result.fit, repaired={1: "rows and columns exchanged"})
    lines = report_lines(report_of(replace(result, fit=fit), views))
    text = "\n".join(lines)
    errors = [float(found[1]) for line in lines if (found := re.search(r"  (0\.\d{3})  +0\.\d{3}  +0\.\d{3} +\d+ of ", line))]
    assert len(errors) == 8
    assert errors == sorted(errors, reverse=True)
    assert "8 of 10 pairs" in text
    assert re.search(r"baseline 1[12]\d\.\d+ \+- \d\.\d+ mm", text)
    assert "rows and columns exchanged" in text
    assert re.search(r"^verdict: (good|usable|poor)", text, re.MULTILINE)
    assert text.isascii()


@pytest.mark.usefixtures("no_plots")
def test_a_long_table_is_shortened() -> None:
    capture = simulate(RIGS["normal"], Target("chessboard", 5, 4, 0.05), 24, seed=1)
    fit = fit_capture(capture)
    stub = solve_rig(capture.views, model="radtan4", warp="off")
    lines = report_lines(report_of(replace(stub, fit=fit), capture.views))
    assert "... and 4 pairs with smaller errors" in lines


class _Page(HTMLParser):
    """Collects what a page refers to and checks that tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.identifiers: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br", "img", "link"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href"):
                self.references.append(value or "")
            if name == "id":
                self.identifiers.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "br", "img", "link"):
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_whole_and_needs_no_network(page: str) -> None:
    parser = _Page()
    parser.feed(page)
    assert parser.open == []
    assert "script" not in parser.tags
    assert "link" not in parser.tags
    assert parser.tags.count("svg") >= 9
    assert all(reference.startswith(("#", "data:")) for reference in parser.references)
    assert len(set(parser.identifiers)) == len(parser.identifiers)
    assert {reference[1:] for reference in parser.references if reference.startswith("#")} <= set(parser.identifiers)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(parser.identifiers)
    for heading in (
        "Error of depth",
        "Rig and boards",
        "Coverage",
        "Pairs",
        "Residuals",
        "Lens models tried",
        "How to repeat this",
    ):
        assert f"<h2>{heading}</h2>" in page


def test_page_escapes_what_users_named(page: str) -> None:
    assert "right &lt;&amp;&gt;.png" in page
    assert "right <&>.png" not in page


@pytest.mark.usefixtures("no_plots")
def test_page_tells_faults_with_evidence_and_advice(result: SolveResult, views: BoardViews) -> None:
    report = report_of(result, views)
    fault = {"name": "low-tilt", "severity": "warning", "message": "MESSAGE", "advice": "ADVICE", "evidence": {"tilt_deg": 6.25}}
    report["faults"] = [{**fault, "pairs": ["a, b"]}, {**fault, "severity": "mention", "message": "QUIET", "pairs": []}]
    page = report_html(result, report)
    assert page.index("MESSAGE") < page.index("ADVICE") < page.index("tilt_deg 6.25") < page.index("RMS per corner")
    assert page.index("<h2>Worth checking</h2>") < page.index("QUIET")
    assert "(warning; a, b)" in page


@pytest.mark.usefixtures("no_plots")
def test_errors_beyond_half_the_depth_have_no_figure(result: SolveResult, views: BoardViews) -> None:
    report = report_of(result, views)
    report["depth"][1] = {**report["depth"][1], "centre_calibration_m": 1.5, "corner_calibration_m": None}
    page = report_html(result, report)
    rows = re.findall(r"<tr><td>2 m</td>(.*?)</tr>", page)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", rows[0])
    assert [cells[0], *cells[2:4], cells[5]] == ["over half of it", "over half of it", "not seen by both", "not seen by both"]


def test_equal_input_gives_equal_bytes(result: SolveResult, views: BoardViews, page: str, tmp_path: Path) -> None:
    save_report_page(tmp_path / "rig.report.html", result, report_of(result, views, RECORD))
    assert (tmp_path / "rig.report.html").read_text(encoding="utf-8") == page


def test_a_fisheye_without_covariance_has_a_page() -> None:
    capture = simulate(RIGS["fisheye"], BOARD, 6, seed=3)
    solved = solve_rig(capture.views, model="fisheye", warp="off")
    from calib.quality import judge

    fit = replace(solved.fit, rig=replace(solved.fit.rig, covariance=None))
    bare = replace(solved, fit=fit, quality=judge(fit))
    page = report_html(bare, report_of(bare, capture.views))
    assert "<h2>Error of depth</h2>" not in page
    assert "fisheye" in page


def test_record_hashes_the_inputs(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"abc")
    record = record_of(["left dir", "right"], {"target": "auto:25mm"}, [tmp_path / "x.png"])
    assert record.inputs == (("x.png", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),)
    assert record.command == "calib solve 'left dir' right --target auto:25mm -o rig.yaml"


def test_reports_lie_beside_the_rig() -> None:
    assert report_path("a/rig.yaml") == Path("a/rig.report.json")
    assert report_path("a/rig.yaml", ".html") == Path("a/rig.report.html")


# ---- plots


def test_residuals_on_the_board_find_a_misprinted_point() -> None:
    """One point printed 0.5 mm too far right shows there, and there alone."""
    capture = simulate(RIGS["normal"], BOARD, 8, noise_px=0.02, seed=2)
    fit = fit_capture(capture)
    moved = fit.board_m.copy()
    moved[20, 0] -= 0.5e-3  # the fit believes in a board whose point lies 0.5 mm further left than it is
    sides = []
    for camera, side, right in ((fit.rig.left, fit.left, False), (fit.rig.right, fit.right, True)):
        x = np.stack([pose[0] @ moved[i] + pose[1] for i, m in zip(side.ids, side.moment, strict=True) if (pose := fit.poses[m])])
        x = x @ fit.rig.R_right_left.T + fit.rig.t_right_left_m if right else x
        sides.append(replace(side, error_px=side.seen_uv - camera.project(x)))
    found = residual_plots.board_residuals_m(replace(fit, board_m=moved, left=sides[0], right=sides[1]))
    assert found[20] == pytest.approx([0.5e-3, 0.0], abs=3e-5)
    assert np.abs(np.delete(found, 20, 0)).max() < 3e-5


def test_view_errors_are_those_of_the_views(result: SolveResult) -> None:
    rms = residual_plots.view_rms_px(result.fit)
    side = result.fit.right
    mask = side.kept & (side.moment == 3)
    assert rms.shape == (10, 2)
    assert rms[3, 1] == pytest.approx(side.rms_px(mask))
    assert np.isnan(rms[8:]).sum() == 2


def test_rounding_for_plots() -> None:
    assert [plots.round_up(x) for x in (0.011, 0.2, 0.21, 3.0, 70.0, 0.0, math.nan)] == pytest.approx(
        [0.02, 0.2, 0.5, 5, 100, 1, 1]
    )
    assert [rig_picture.nice_step(x) for x in (0.011, 0.2, 0.49, 7.0)] == pytest.approx([0.01, 0.2, 0.2, 5.0])
    assert [quality_plots.length_label(x) for x in (2.34e-5, 0.0123, 2.345, math.nan)] == [
        "23 \u00b5m",
        "12 mm",
        "2.35 m",
        "\u2014",
    ]


def test_svg_has_prefixes_and_no_date(result: SolveResult) -> None:
    with plots.style():
        figure = residual_plots.scatter_figure(result.fit)
    text = plots.svg(figure, prefix="one-")
    ElementTree.fromstring(text)
    assert text.startswith("<svg")
    assert "date" not in text.lower()
    assert set(re.findall(r'\bid="(...)', text)) == {"one"}


# ---- the rig drawn and told


def test_drawn_rig_is_true_to_scale() -> None:
    """L and R stand as far apart as the bar says, and borders of a view of 90 degrees rise by one row in two columns."""
    camera = Camera(101, 81, 50.0, 50.0, 50.0, 40.0, np.zeros(0))
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.2, 0.0, 0.0]))
    lines = rig_picture.draw_text(rig)
    (row,) = [line for line in lines if "R" in line and "L-" in line]
    bar = next(line for line in lines if " mm, L to R" in line)
    length, unit = re.search(r"\| (\d+) mm, L to R ([\d.]+) mm", bar).groups()  # type: ignore[union-attr]
    assert unit == "200.00"
    characters = bar.index("|", 2) - bar.index("|")
    apart = row.index("R") - row.index("L")
    assert characters / float(length) == pytest.approx(apart / 200.0, abs=0.02)
    assert "views L 90.0 and R 90.0 degrees" in bar
    assert max(map(len, lines)) <= 80
    top = next(i for i, line in enumerate(lines) if "\\" in line)
    assert row.index("L") - lines[top].index("\\") == pytest.approx(2 * (lines.index(row) - top), abs=2)  # 45 degrees
    assert not any("side" in line for line in lines)


def test_a_vertical_rig_is_drawn_from_the_side_too() -> None:
    lines = rig_picture.draw_text(RIGS["vertical"])
    side = lines[lines.index("from the side (forwards is to the right):") :]
    letters = [
        next(i for i, line in enumerate(side) if letter in line.split("|")[0][:12] and "L to R" not in line) for letter in "LR"
    ]
    assert letters[0] < letters[1]  # the right camera stands below


@pytest.mark.parametrize("name", sorted(RIGS))
def test_every_rig_can_be_drawn(name: str) -> None:
    assert all(len(line) <= 80 and line.isascii() for line in rig_picture.draw_text(RIGS[name]))
    with plots.style():
        assert plots.svg(rig_picture.rig_figure(RIGS[name]))


def test_pictures_of_a_rig(tmp_path: Path) -> None:
    for suffix in ("png", "svg"):
        for i in (0, 1):
            rig_picture.save_picture(tmp_path / f"{i}.{suffix}", RIGS["toe-in"])
        assert (tmp_path / f"0.{suffix}").read_bytes() == (tmp_path / f"1.{suffix}").read_bytes()
    image = cv2.imread(str(tmp_path / "0.png"))
    assert image is not None
    assert image.shape[1] > 1000
    assert 0.005 < (image < 128).any(-1).mean() < 0.3
    with pytest.raises(UsageError, match=r"end in \.png or \.svg, not '\.jpg'"):
        rig_picture.save_picture(tmp_path / "rig.jpg", RIGS["toe-in"])


def test_words_carry_sigmas_where_there_is_a_covariance(result: SolveResult) -> None:
    told = "\n".join(describe(result.rig))
    rig = result.rig
    assert rig.baseline_sigma_m is not None
    assert f"focal length {with_sigma(rig.left.focal_x_px, rig.sigma('left.focal_x_px'))} x " in told
    assert f"baseline {with_sigma(1e3 * rig.baseline_m, 1e3 * rig.baseline_sigma_m)} mm" in told
    assert re.search(r"^  5 m: centre calibration \+-", told, re.MULTILINE)
    bare = "\n".join(describe(replace(rig, covariance=None, provenance={})))
    assert "+-" not in bare
    assert "5 m:" not in bare


@pytest.mark.parametrize(
    ("value", "sigma", "text"),
    [
        (120.2034, 0.0812, "120.20 +- 0.08"),
        (532.14, 0.41, "532.1 +- 0.4"),
        (532.14, 0.141, "532.14 +- 0.14"),
        (-0.28123, 0.00234, "-0.2812 +- 0.0023"),
        (1000.0, 25.0, "1000 +- 25"),
        (1.0, 0.0, "1 +- 0"),
        (1.5, math.nan, "1.5"),
    ],
)
def test_numbers_are_rounded_by_their_sigma(value: float, sigma: float, text: str) -> None:
    assert with_sigma(value, sigma) == text


# ---- the length measured on the board


def test_a_measured_length_corrects_the_scale() -> None:
    found = scaled_to(parse_board("charuco:11x8:25mm:18mm:DICT_5X5_100"), parse_known_length("251.2mm:10"))
    assert found.is_settled
    assert found.target.square_m == pytest.approx(0.02512)
    assert found.target.marker_m == pytest.approx(0.018 * 25.12 / 25.0)
    assert "squares are 25.12 mm, not 25 (251.2 mm over 10 squares); scale corrected by +0.48 %" in found.note


def test_a_measured_length_confirms_the_scale() -> None:
    board = parse_board("chessboard:9x6:25mm")
    found = scaled_to(board, KnownLength(0.2001, 8.0))
    assert (found.target, found.is_settled) == (board, True)
    assert "confirmed" in found.note


@pytest.mark.parametrize("text", ["5mm:0.2", "25.4mm:1", "99mm:4", "100.4mm:4", "95mm:5"])
def test_a_length_too_short_to_read_settles_nothing(text: str) -> None:
    board = parse_board("chessboard:9x6:25mm" if text != "95mm:5" else "chessboard:9x6:19.2mm")
    found = scaled_to(board, parse_known_length(text))
    assert (found.target, found.is_settled) == (board, False)
    assert "settles nothing: a ruler is read to 0.3 mm" in found.note
    assert "measure at least 100 mm over at least 5 squares" in found.note
    assert "confirmed" not in found.note


def test_asymmetric_circles_are_measured_from_row_to_row() -> None:
    found = scaled_to(parse_board("acircles:4x11:20mm"), parse_known_length("202mm:10"))
    assert found.target.square_m == pytest.approx(0.0202)
    assert "202 mm over 10 distances from row to row of circles" in found.note


def test_a_measured_length_can_contradict() -> None:
    with pytest.raises(CalibrationError, match=r"27\.51 mm each, but --target says 25 mm: they differ by 10 % \(limit 10 %\)"):
        scaled_to(parse_board("chessboard:9x6:25mm"), parse_known_length("220.1mm:8"))


@pytest.mark.parametrize("text", ["250mm", "250:10", "250mm:ten", "250mm:0", "-250mm:10", "250mm:10:3", "nan:1"])
def test_lengths_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="known length"):
        parse_known_length(text)


def parse_board(text: str) -> Target:
    target = parse_target(text)
    assert isinstance(target, Target)
    return target


def test_rotation_about_x_is_tilt() -> None:
    camera = RIGS["normal"].left
    rig = StereoRig(camera, camera, rotation_from_vector(np.radians([-2.0, 0.0, 0.0])), np.array([-0.1, 0.0, 0.0]))
    assert "tilt +2.000" in "\n".join(describe(rig))
