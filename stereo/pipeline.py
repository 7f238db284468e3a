"""`run`: the one place that strings the stages together, from two files to a folder of results."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib import files
from calib.errors import InputError, OutputError, QualityError, UsageError
from calib.images import read_pair
from calib.rectification import plan_rectification
from calib.rig import Image, Mask, RectifiedPair, StereoRig
from calib.rig_files import load_rig
from stereo.cloud import to_cloud
from stereo.depth import to_depth
from stereo.maps import DepthMap, DisparityMap, PointCloud
from stereo.memory import require_memory
from stereo.run_log import Listener, RunLog, files_written
from stereo.run_result import RunResult
from stereo.run_settings import Cameras, Record, RunFile, RunSettings, Unit, package_versions, printable, run_file_text
from stereo.run_warnings import beyond_warnings, end_warnings, residual_warnings, row_warnings
from stereo.search_range import SearchRange, end_shares, find_range, parse_depth, range_from_depth, widened

STEPS = ("read", "rectify", "range", "match", "depth", "write")
"""names of the steps, in order, as `Listener.step` receives them"""
RESULTS = (
    "disparity.tiff",
    "sigma.tiff",
    "confidence.tiff",
    "reason.png",
    "preview.png",
    "depth.tiff",
    "inverse_depth.tiff",
    "depth_sigma.tiff",
    "cloud.ply",
    "report.html",
    "run.yaml",
    "log.jsonl",
)
"""every file that a run may write"""
_WITHOUT_RIG = ("disparity.tiff", "sigma.tiff", "confidence.tiff", "reason.png", "preview.png", "run.yaml", "log.jsonl")

_OTHER_BYTES_PER_PIXEL = 200
"""photos, rectified images, their maps, depth in float64, the cloud and the pictures"""


def run(
    left: str | Path,
    right: str | Path,
    output: str | Path,
    *,
    rig: str | Path | None = None,
    unit: Unit | None = None,
    image_size: tuple[int, int] | None = None,
    cameras: Cameras | None = None,
    settings: RunSettings | None = None,
    record: Record | None = None,
    threads: int | None = None,
    listener: Listener | None = None,
    keep: Sequence[str | Path] = (),
) -> RunResult:
    """Two photos, and the rig that took them, to disparity, depth, cloud, pictures and a report in a folder.

    What can be refused is refused before the folder is made; the folder is proven writable before the long work starts.

    Parameters
    ----------
    left, right : str or Path
        Raw photos of the rig's cameras, or rectified images where `rig` is None or rectified.
    output : str or Path
        A folder. Results in it are replaced, and those that an earlier run wrote there and this run does not make are removed.
    rig : str or Path, optional
        Rig file; without it only disparity results are written.
    unit, image_size, cameras : optional
        Of the rig, where its file does not state them: see `calib.load_rig`.
    settings : RunSettings, optional
    record : Record, optional
        Of the run that is repeated: where an input or a version differs, a note says so.
    threads : int, optional
        For the matcher; the result does not depend on it.
    listener : Listener, optional
    keep : sequence of str or Path
        Files that the results must not replace, besides the inputs: the settings file, for one.

    Returns
    -------
    RunResult

    Raises
    ------
    StereoError
        What `calib.images.read_pair`, `calib.load_rig`, `calib.rectify`, `stereo.search_range`, `stereo.match` and
        `calib.files.output_folder` raise; `ResourceError` where the range would need more memory than there is, and
        `OutputError` where a result would replace an input.
    """
    if rig is None and (unit is not None or image_size is not None or cameras is not None):
        raise UsageError(
            "--unit, --image-size and --cameras tell what a rig file leaves out, but there is no rig; give --rig too"
        )
    chosen = RunSettings() if settings is None else settings
    log = RunLog(Listener() if listener is None else listener)
    paths = {"left": Path(left), "right": Path(right)} | ({} if rig is None else {"rig": Path(rig)})
    files.refuse_overwriting([Path(output) / name for name in RESULTS], [*paths.values(), *keep])
    with log.step("read"):
        photos = read_pair(left, right)
        calibrated = None if rig is None else load_rig(rig, unit=unit, image_size=image_size, cameras=cameras)
        found = Record(sha256={name: files.sha256(path) for name, path in paths.items()}, versions=package_versions())
        if found.sha256["left"] == found.sha256["right"]:
            raise InputError(f"{left} and {right} are the same picture; give the photos of the left and of the right camera")
        for difference in _differences(record, found, paths):
            log.note(difference)
        for path in paths.values():
            if printable(str(path)) != str(path):
                log.note(
                    f"{printable(str(path))}: the name is not valid UTF-8, so run.yaml cannot find the file again; rename it"
                )
    with log.step("rectify"):
        if calibrated is None:
            pair = _as_rectified(*photos)
        else:
            plan = plan_rectification(calibrated)
            pair = plan.apply(*photos)
            if plan.roll_note is not None:
                log.note(plan.roll_note)
            del plan  # its maps are large
        del photos
    with log.step("range"):
        same = record if record is not None and (record.sha256, record.range) == (found.sha256, chosen.range) else None
        search, warnings = _search_range(pair, chosen, calibrated, same, threads)
        for warning in warnings:
            log.note(warning)
        _require_memory(pair, search)
        automatic = chosen.range is None and chosen.depth is None
    with _folder(output) as folder:
        with log.step("match"):
            disparity = _match(pair, search, chosen, threads, log)
            again = widened(search, *end_shares(disparity)) if automatic else None
            if again is not None:
                log.say(f"the range was too narrow; once more with {again.minimum}:{again.maximum}")
                _require_memory(pair, again)
                search, disparity = again, _match(pair, again, chosen, threads, log)
            for warning in (*residual_warnings(disparity), *end_warnings(disparity)):
                log.note(warning)
        with log.step("depth"):
            depth = None if pair.rig is None else to_depth(disparity)
            for warning in beyond_warnings(depth):
                log.note(warning)
            cloud = None if depth is None else _cloud(depth, pair, chosen)
            _require_answers(disparity, cloud, search)
        resolved = replace(chosen, range=(search.minimum, search.maximum), depth=None)
        places = {name: Path(printable(str(path.absolute()))) for name, path in paths.items()}
        run_file = RunFile(places["left"], places["right"], places.get("rig"), unit, image_size, cameras).with_settings(resolved)
        met = replace(found, range=resolved.range, range_from=search.evidence, warnings=warnings)
        run_file = replace(run_file, record=met)
        result = RunResult(pair, search, disparity, depth, cloud, run_file, tuple(log.notes))
        with log.step("write"):
            written = _write(result, folder, log)
        log.save(folder / "log.jsonl")
    return replace(result, notes=tuple(log.notes), files=(*written, folder / "log.jsonl"))


def _differences(record: Record | None, found: Record, paths: dict[str, Path]) -> list[str]:
    """What is not as it was in the run that is repeated."""
    if record is None:
        return []
    changed = [
        f"{path}: is not the {name} file of the recorded run (its SHA-256 begins with {found.sha256[name][:12]}, not"
        f" {record.sha256[name][:12]}); the result will differ"
        for name, path in paths.items()
        if record.sha256.get(name) not in (None, found.sha256[name])
    ]
    other = [
        f"{name} {found.versions.get(name, 'missing')} instead of {version}"
        for name, version in record.versions.items()
        if found.versions.get(name) != version
    ]
    return changed + ([f"versions differ from the recorded run, so the result may: {', '.join(other)}"] if other else [])


def _as_rectified(left: Image, right: Image) -> RectifiedPair:
    """Images that came without a rig; NaN and infinity become "no data"."""
    images, masks = [], []
    for image in (left, right):
        finite: Mask = np.isfinite(image)
        good: Mask = np.asarray(finite if image.ndim == 2 else finite.all(-1))
        if not good.all():
            image = image.copy()
            image[~good] = 0
        images.append(image)
        masks.append(good)
    return RectifiedPair(images[0], images[1], masks[0], masks[1])


def _search_range(
    pair: RectifiedPair, settings: RunSettings, rig: StereoRig | None, same: Record | None, threads: int | None
) -> tuple[SearchRange, tuple[str, ...]]:
    """The range, and what is wrong with the images as far as its search saw; both as recorded where that very run is repeated."""
    if settings.range is not None:
        if same is not None:
            return SearchRange(*settings.range, same.range_from), same.warnings
        return SearchRange(*settings.range, "given as a range"), ()
    if settings.depth is None:
        search = find_range(pair, threads=threads)
        return search, row_warnings(search, rig)
    if pair.rig is None:
        raise UsageError(f"depth {settings.depth} needs a rig to become disparities; give --rig, or --range MIN:MAX in pixels")
    return SearchRange(*range_from_depth(pair.rig, *parse_depth(settings.depth)), f"given as depth {settings.depth}"), ()


def _require_memory(pair: RectifiedPair, search: SearchRange) -> None:
    from stereo.workspace import required_bytes

    height, width = pair.left.shape[:2]
    labels = search.maximum - search.minimum
    require_memory(
        required_bytes(height, width, labels) + _OTHER_BYTES_PER_PIXEL * height * width,
        what=f"matching {width} x {height} px over {labels} disparities ({search.minimum}:{search.maximum})",
        advice="narrow the range (--range or --depth), use smaller images, or close other programs",
    )


@contextmanager
def _folder(path: str | Path) -> Iterator[Path]:
    """The output folder; removed again when the run fails before anything was put into it."""
    existed = os.path.exists(path)  # noqa: PTH110 (Path.exists raises where a name is too long)
    folder = files.output_folder(path)
    try:
        yield folder
    except BaseException:
        if not existed:
            with suppress(OSError):  # not empty
                folder.rmdir()
        raise


def _match(pair: RectifiedPair, search: SearchRange, settings: RunSettings, threads: int | None, log: RunLog) -> DisparityMap:
    from stereo import kernels
    from stereo.matcher import match

    if kernels.is_cold():
        log.say("compiling kernels for this machine (some seconds, first run only)")
    return match(pair, search_range=(search.minimum, search.maximum), settings=settings.matcher, threads=threads)


def _require_answers(disparity: DisparityMap, cloud: PointCloud | None, search: SearchRange) -> None:
    """Files full of NaN would hide from the next program in line that nothing was measured."""
    measured = int(disparity.valid.sum())
    if not measured or (cloud is not None and not len(cloud.points_xyz_m)):
        what = "no point is left for the cloud" if measured else "no pixel found its match"
        raise QualityError(
            f"{what}: {measured} of {disparity.disparity_px.size} pixels have a disparity in the range"
            f" {search.minimum}:{search.maximum} px ({search.evidence}); check that the images belong together, are in the order"
            " left, right, and fit the rig, and widen the range or the limits of the cloud"
        )


def _cloud(depth: DepthMap, pair: RectifiedPair, settings: RunSettings) -> PointCloud:
    return to_cloud(
        depth,
        colour=pair.left,
        max_depth_m=settings.cloud.max_depth_m,
        max_relative_sigma=settings.cloud.max_relative_sigma,
    )


def _write(result: RunResult, folder: Path, log: RunLog) -> list[Path]:
    """Every result but the log; run.yaml comes last, so that a folder with one is complete."""
    from calib.images import write_image
    from stereo.cloud_files import save_cloud
    from stereo.map_files import write_float_map, write_reason
    from stereo.report import report_html

    disparity, depth = result.disparity, result.depth
    page = None if depth is None else report_html(result)  # texts first: one that cannot be made must not leave half a folder
    settings = run_file_text(result.run_file)
    written: list[Path] = []

    def save(name: str, writer: Callable[[Path, Any], None], value: Any) -> None:
        writer(folder / name, value)
        written.append(folder / name)
        log.wrote(folder / name)

    _remove(folder / "run.yaml")
    _remove_stale(folder, _WITHOUT_RIG if depth is None else RESULTS, log)
    save("disparity.tiff", write_float_map, disparity.disparity_px)
    save("sigma.tiff", write_float_map, disparity.sigma_px)
    if disparity.confidence is not None:
        save("confidence.tiff", write_float_map, disparity.confidence)
    save("reason.png", write_reason, disparity.reason if depth is None else depth.reason)
    save("preview.png", write_image, _preview(result))
    if depth is not None:
        save("depth.tiff", write_float_map, depth.depth_m)
        save("inverse_depth.tiff", write_float_map, depth.inverse_depth_per_m)
        save("depth_sigma.tiff", write_float_map, depth.depth_sigma_m)
        save("cloud.ply", save_cloud, result.cloud)
        save("report.html", files.write_text, page)
    save("run.yaml", files.write_text, settings)
    return written


def _preview(result: RunResult) -> NDArray[np.uint8]:
    from stereo.filling import fill
    from stereo.picture import disparity_picture, inverse_depth_picture

    disparity, depth = result.disparity, result.depth
    if result.run_file.picture.fill:
        disparity = fill(disparity, result.pair.left)
        depth = None if depth is None else to_depth(disparity)
    return disparity_picture(disparity) if depth is None else inverse_depth_picture(depth)


def _remove_stale(folder: Path, made: Sequence[str], log: RunLog) -> None:
    """Results of an earlier run that this one does not replace would be taken for its own; other people's files stay."""
    earlier = files_written(folder / "log.jsonl")
    for name in RESULTS:
        path = folder / name
        if name in earlier and name not in made and path.is_file():
            _remove(path)
            log.say(f"Removed {path}, which an earlier run had written")


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be replaced: {error.strerror}; remove it or give another folder") from error
