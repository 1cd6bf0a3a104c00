"""Sequences of pictures: their names, in and out."""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from inrcodec.errors import InputError, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals.base import Samples, Signal
from inrcodec.signals.image_write import SUFFIXES, write_image
from inrcodec.signals.video import read_frames

RATE = 25.0  # frames a second where nothing says
_NUMBER = re.compile(r"%0?(\d*)d")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".pgm", ".ppm", ".pnm")


def is_pattern(name: str) -> bool:
    """Whether a name has a number of the frame in it: %d or %04d, once."""
    return len(_NUMBER.findall(Path(name).name)) == 1 and not os.path.exists(name)


def frame_name(pattern: str, number: int) -> str:
    """The name of one frame."""
    folder, name = os.path.split(pattern)
    return os.path.join(folder, _NUMBER.sub(lambda found: str(number).zfill(int(found[1] or 0)), name))


def sequence_paths(name: str) -> list[str]:
    """The files of a pattern in the order of their numbers, or the pictures in a folder in the order of the numbers in their names.

    Empty where there are none. Raises InputError for a pattern's gap.
    """
    if os.path.isdir(name):
        found = [path for path in Path(name).iterdir() if path.suffix.lower() in _PICTURES and path.is_file()]
        return [os.fspath(path) for path in sorted(found, key=lambda path: _natural(path.name))]
    folder, last = os.path.split(name)
    before, after = (re.escape(part) for part in (last[: _span(last)[0]], last[_span(last)[1] :]))
    numbers = []
    for entry in os.listdir(folder or ".") if os.path.isdir(folder or ".") else ():
        match = re.fullmatch(f"{before}(\\d+){after}", entry)
        if match and os.path.basename(frame_name(name, int(match[1]))) == entry:
            numbers.append(int(match[1]))
    numbers.sort()
    for number, follower in pairwise(numbers):
        if follower != number + 1:
            raise InputError(f"{name}: expected frames without a gap, got {number} and then {follower}")
    return [frame_name(name, number) for number in numbers]


def read_sequence(
    name: str, *, rate: float | None = None, frames: int | None = None, limits: Limits = DEFAULT_LIMITS, strip: bool = False
) -> Signal:
    """The first `frames` pictures of a pattern or a folder as a video of `rate` frames a second (RATE if None).

    Raises as `read_frames` does, and InputError where there are none.
    """
    if frames is not None and frames < 1:
        raise UsageError(f"{name}: expected at least one frame, got frames {frames}")
    paths = sequence_paths(name)
    if not paths:
        raise InputError(f"{name}: expected pictures, found none")
    return read_frames(paths[:frames], rate=RATE if rate is None else rate, limits=limits, strip=strip)


def write_sequence(parts: Iterator[Samples], pattern: str) -> Iterator[tuple[str, bytes]]:
    """Name and file of every frame of a video that comes in parts (rows, h, w, c), numbered from 1."""
    suffix = check_pattern(pattern)
    number = 1
    for part in parts:
        for codes in part.codes:
            picture = Samples(kind="image", channels=part.channels, codes=codes, bits=part.bits, axes=part.axes[1:], metadata=part.metadata)
            yield frame_name(pattern, number), write_image(picture, suffix)
            number += 1


def check_pattern(pattern: str) -> str:
    """The suffix of a pattern's pictures; raises UsageError for one that cannot be written."""
    suffix = Path(pattern).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{pattern}: cannot write frames as {suffix!r}; expected one of {' '.join(SUFFIXES)}")
    return suffix


def _span(name: str) -> tuple[int, int]:
    found = _NUMBER.search(name)
    return found.span() if found else (0, 0)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """What sorts 2 before 10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]
