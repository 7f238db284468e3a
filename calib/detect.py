"""Find the board in the images of a capture, several at a time."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from calib.board_search import BoardSearch, content
from calib.capture_checks import leave_out
from calib.detection import BoardViews, Detection, PairView
from calib.detection_cache import DetectionCache, Searched
from calib.errors import InputError, UsageError
from calib.finders import find_board, guess_target
from calib.finders.chessboard import guess_chessboard as guess_board
from calib.finders.prepare import quickly_searched
from calib.frame_choice import Choice, choose_frames
from calib.images import Image
from calib.sources import Source, VideoFrame, as_source, images_of, pair_name
from calib.target import AutoTarget, Target

__all__ = ["detect_board", "detect_pairs", "guess_board"]

TIME_LIMIT_S = 10.0
_MOST_THREADS = 8
_PARTS = (4, 16, 64)  # after so many images what was found so far decides which board the next ones are searched for
_LEAST_AGREED = 2  # detections after which no other board is thought of
_IMAGES_TO_GUESS, _FRAMES_TO_GUESS = (4, 12), (16, 40)  # at first, and where these say nothing
_FRAMES_TO_MEET = 24  # from which it is told which board a video shows
_SLOW_GUESS_S = 8.0  # after which not everything may have been tried: such a guess is not kept
_NAMED = 3
_MOVING_PX = 2.0  # median motion from frame to frame that is worth a warning


def detect_board(image: Image, target: Target) -> Detection | None:
    """The board's corners in one image, or None where it is not seen.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array in BGR order, uint8, uint16 or float32
    target : Target

    Returns
    -------
    Detection or None
        See `calib.finders.find_board`, which tells the reason, too.
    """
    return find_board(image, target).detection


def detect_pairs(
    left: Sequence[Source | Path | str | Image],
    right: Sequence[Source | Path | str | Image],
    target: Target | AutoTarget,
    *,
    threads: int | None = None,
    cache: DetectionCache | Path | str | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    notes: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> BoardViews:
    """The board's corners in pairs of images, several at a time.

    Where all images are frames of videos (`calib.sources.capture_sources`), up to 48 pairs are kept: still ones that differ, and
    up to 12 frames in which one camera only sees the board.

    Parameters
    ----------
    left, right : sequences of sources, files or images
        `left[i]` and `right[i]` were taken at the same moment.
    target : Target or AutoTarget
        The latter is found out from a few images.
    threads : int, optional
        Default: one for each processor that this process may use, at most 8.
    cache : DetectionCache or path of its folder, optional
        Default: nothing is kept. What was found in an image of the same content is not searched for again.
    time_limit_s : float
        For each image; frames of videos get a tenth of it, but up to 1 s in any case.
    notes : sequence of str
        What is known about the images already; the result's notes begin with it.
    progress : callable, optional
        Called with the image's name after each image, from this thread.

    Returns
    -------
    BoardViews
        Its target is the board as it turned out to be, one for all images. Images left out (another size, the same content
        twice) have a problem that says so.

    Raises
    ------
    UsageError
        The two sequences have different lengths, or none at all; an impossible limit or number of threads.
    InputError
        A file that cannot be read, images of one camera that differ in size without a clear majority, or a board that cannot
        be told from the images (`auto`).
    """
    if len(left) != len(right) or not left:
        raise UsageError(
            f"{len(left)} left and {len(right)} right images; a calibration needs as many of one as of the other, at least one"
        )
    if not time_limit_s > 0.0:
        raise UsageError(f"a time limit of {time_limit_s:g} s for each image; it must be more than 0")
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads; at least 1 is needed")
    sources = [
        as_source(image, f"{side} image {i + 1}")
        for i, pair in enumerate(zip(left, right, strict=True))
        for side, image in zip(("left", "right"), pair, strict=True)
    ]
    kept = cache if isinstance(cache, DetectionCache) or cache is None else DetectionCache(cache)
    search = BoardSearch(kept, time_limit_s, threads or min(_usable_processors(), _MOST_THREADS))
    known = _known_target(sources, target, kept)
    if len(sources) > 2 and _is_video(sources):
        known, search = _met_somewhere(sources, known, search)
    found, resolved = _search_all(sources, known, search, progress)
    told = [*notes, *_target_notes(target, resolved, found)]
    if kept is not None:
        kept.trim()
        told += [kept.problem] if kept.problem else []
    found, late = _told_of_time(found, time_limit_s)
    told += late
    found, sizes, more = leave_out([source.name for source in sources], found)
    pairs = [_pair(sources[i : i + 2], found[i : i + 2]) for i in range(0, len(sources), 2)]
    if len(pairs) > 1 and _is_video(sources):
        pairs, chosen = _choose(pairs, found, resolved, sizes)
        more += chosen
    return BoardViews(tuple(pairs), *sizes, resolved, (*told, *more))


def _is_video(sources: Sequence[Source]) -> bool:
    return all(isinstance(source, VideoFrame) for source in sources)


def _usable_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told_of_time(found: list[Searched], limit_s: float) -> tuple[list[Searched], list[str]]:
    """What to do where most searches ran out of time: said with each of them, and once as a note."""
    late = sum(result.is_late for result in found)
    if 2 * late <= len(found):
        return found, []
    advice = f"--time-limit {3.0 * limit_s:g} gives more time"
    told = [replace(result, reason=f"{result.reason} ({advice})") if result.is_late else result for result in found]
    return told, [f"{late} of {len(found)} images ran out of time: {advice}"]


def _spread(sources: Sequence[Source], most: int) -> list[Source]:
    """A few sources, evenly over their number."""
    count = min(len(sources), most)
    return [sources[round(i * (len(sources) - 1) / max(count - 1, 1))] for i in range(count)]


def _known_target(sources: Sequence[Source], target: Target | AutoTarget, cache: DetectionCache | None) -> Target:
    """The board asked for, or the one that a few images show; where they do not, more are looked at."""
    if isinstance(target, Target):
        return target
    counts = _FRAMES_TO_GUESS if _is_video(sources) else _IMAGES_TO_GUESS
    key = hashlib.sha256("".join(map(content, _spread(sources, counts[-1]))).encode()).hexdigest() if cache is not None else ""
    known = cache.load(key, target) if cache is not None else None
    if known is not None:
        return known.target
    start_s = time.monotonic()
    for count in counts:
        some = _spread(sources, count)
        try:
            guess = guess_target([quickly_searched(image) for image in images_of(some)], target.square_m)
        except InputError:
            if count == counts[-1]:
                raise
        else:
            break
    if cache is not None and time.monotonic() - start_s < _SLOW_GUESS_S:
        cache.save(key, target, Searched(None, "", guess, None, digest=key))
    return guess


def _met_somewhere(sources: Sequence[Source], target: Target, search: BoardSearch) -> tuple[Target, BoardSearch]:
    """The board that a few frames over the whole length show, and how all frames, most of them without a board, are searched."""
    some = _spread(sources, _FRAMES_TO_MEET)
    quick = replace(search, is_strict=True)
    for attempt in (quick, replace(search, skips_empty=False)):  # perhaps it is another board, or the quick look misses it
        found = list(attempt(some, [target] * len(some)))
        if any(result.detection is not None for result in found):
            return _majority(found, target), replace(attempt, is_strict=True)
    return target, quick


def _search_all(
    sources: Sequence[Source], target: Target, search: BoardSearch, progress: Callable[[str], None] | None
) -> tuple[list[Searched], Target]:
    """All images searched for one and the same board: the one that most of them show."""
    found: list[Searched] = []
    parts = () if search.is_strict else _PARTS
    for start, end in zip((0, *parts), (*parts, len(sources)), strict=True):
        now = _majority(found, target)
        agreed = sum(result.detection is not None and result.target == now for result in found)
        chosen = sources[start:end]
        if not chosen:
            break
        using = replace(search, is_strict=search.is_strict or agreed >= _LEAST_AGREED)
        for source, result in zip(chosen, using(chosen, [now] * len(chosen)), strict=True):
            found.append(result)
            if progress is not None:
                progress(source.name)
    resolved = _majority(found, target)
    odd = [i for i, result in enumerate(found) if result.detection is not None and result.target != resolved]
    again_for = replace(search, is_strict=True)
    for i, again in zip(odd, again_for([sources[i] for i in odd], [resolved] * len(odd)), strict=True):
        if again.detection is None or again.target != resolved:
            again = replace(again, detection=None, reason=f"another board than in the other images ({found[i].target})")
        found[i] = again
    return found, resolved


def _majority(found: Sequence[Searched], target: Target) -> Target:
    counts = Counter(result.target for result in found if result.detection is not None)
    return max(counts, key=lambda board: (counts[board], board == target)) if counts else target


def _target_notes(asked: Target | AutoTarget, resolved: Target, found: Sequence[Searched]) -> list[str]:
    """What the board turned out to be."""
    notes = []
    if resolved != asked:
        how = "is taken for" if isinstance(asked, AutoTarget) else f"is not quite {asked} but"
        notes.append(f"the board {how} {resolved}")
    remarks = Counter(result.note for result in found if result.detection is not None and result.note)
    seen = sum(result.detection is not None for result in found)
    return notes + [
        text if count == seen else f"{text} (in {count} of {seen} images)" for text, count in remarks.most_common(_NAMED)
    ]


def _pair(sources: Sequence[Source], found: Sequence[Searched]) -> PairView:
    problem = "; ".join(f"{each.reason} in {source.name}" for source, each in zip(sources, found, strict=True) if each.reason)
    return PairView(pair_name(*sources), found[0].detection, found[1].detection, problem)


def _choose(
    pairs: list[PairView], found: Sequence[Searched], target: Target, sizes: tuple[tuple[int, int], tuple[int, int]]
) -> tuple[list[PairView], list[str]]:
    """The pairs of frames that are kept, and what to say about them."""
    sides = [[None if each.detection is None else (each.detection, each.motion_px) for each in found[side::2]] for side in (0, 1)]
    choice = choose_frames(sides[0], sides[1], target, sizes)
    seen = [sum(each is not None for each in side) for side in sides]
    both = sum(a is not None and b is not None for a, b in zip(*sides, strict=True))
    kept = sorted({*choice.pairs, *choice.left_only, *choice.right_only})
    alone = len(choice.left_only) + len(choice.right_only)
    notes = [
        f"{len(pairs)} pairs of frames: the board is seen in {seen[0]} left and {seen[1]} right ones, in both in {both};"
        f" {len(choice.pairs)} unlike pairs and {alone} one-sided frames are used"
    ]
    notes += _motion_notes(choice, found, both)
    return [pairs[i] for i in kept] or pairs[:_NAMED], notes


def _motion_notes(choice: Choice, found: Sequence[Searched], both: int) -> list[str]:
    motion = [found[2 * i + side].motion_px for i in choice.pairs for side in (0, 1)]
    typical = float(np.nanmedian(motion)) if np.isfinite(motion).any() else 0.0
    notes = []
    if choice.moving:
        notes.append(
            f"in {choice.moving} of {both} pairs of frames the board moved by more than {choice.limit_px:.2g} px from one frame"
            " to the next: left out"
        )
    if typical > _MOVING_PX:
        notes.append(
            f"the board hardly ever rests: it moves by {typical:.2g} px from frame to frame in the pairs used; hold it still for"
            " a second at each place"
        )
    return notes
