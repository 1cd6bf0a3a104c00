"""The last adjustment of a file: quantization steps a little coarser or finer, until its size or PSNR is the one asked for."""

import math
from collections.abc import Callable

from inrcodec.quality import Measured

Made = tuple[bytes, Measured]  # a file, and what was measured on it
OCTAVES = 12  # coarser or finer at most
TRIES = 16
LEAST_SIZE = 0.985  # of the size asked for, aimed at
PROMISED_SIZE = 0.97  # likewise, held to where it costs little
MOST_LOSS = 0.3  # dB that using the bytes promised may cost
MOST_PSNR = 0.1  # dB above the one asked for
SIZE_SLOPE, PSNR_SLOPE = 0.01, 0.06  # octaves of the size and dB that one unit of `coarser` is worth, about


def settled(
    packed: Callable[[int], bytes], finished: Callable[[bytes], Made], *, beside: int, octave: int, size: int | None, psnr: float | None
) -> Made:
    """The file that fits best: the largest of at most `size` bytes, or the smallest of at least `psnr` dB.

    packed(coarser) is a file without its metrics, `beside` bytes at most; finished() measures it and adds them. Where none fits, the
    smallest or the best one there is. packed(0) where nothing is asked. octave: what `coarser` is where all steps are twice as large.
    """
    bare: dict[int, bytes] = {}
    files: dict[int, Made] = {}

    def length(coarser: int) -> int:
        bare[coarser] = bare.get(coarser) or packed(coarser)
        return len(bare[coarser]) + beside

    def file(coarser: int) -> Made:
        length(coarser)
        files[coarser] = files.get(coarser) or finished(bare[coarser])
        return files[coarser]

    if size is not None:
        low, high = math.log2(LEAST_SIZE * size), math.log2(size)
        settle(lambda c: math.log2(length(c)), low=low, high=high, slope=SIZE_SLOPE, most=OCTAVES * octave)
        fitting = [c for c in bare if length(c) <= size]
        if not fitting:
            return file(min(bare, key=length))
        largest = max(fitting, key=length)
        if 0 not in fitting:
            return file(largest)
        # Finer steps need not help: values may lie where only rounding brings them right. They do little harm where little is to be filled.
        most = 0.0 if length(0) >= PROMISED_SIZE * size else MOST_LOSS
        return file(0 if file(0)[1].psnr - file(largest)[1].psnr > most else largest)
    if psnr is not None:
        settle(lambda c: file(c)[1].psnr, low=psnr, high=psnr + MOST_PSNR, slope=PSNR_SLOPE, most=OCTAVES * octave)
        good = [one for one in files.values() if one[1].psnr >= psnr]
        return min(good, key=lambda one: len(one[0])) if good else max(files.values(), key=lambda one: one[1].psnr)
    return file(0)


def settle(figure: Callable[[int], float], *, low: float, high: float, slope: float, most: int) -> None:
    """Ask for figure(c), which falls with c by about `slope` a unit, until it lies in [low, high], or on both sides of it for neighbours.

    Begins at 0 and stays within [-most, most].
    """
    found: dict[int, float] = {}
    c, reach = 0, 1.0
    middle = 0.5 * (low + high)
    while c not in found and len(found) < TRIES:
        found[c] = value = figure(c)
        if low <= value <= high:
            return
        above = [k for k, v in found.items() if v > high]
        below = [k for k, v in found.items() if v < low]
        if above and below and max(above) < min(below):
            a, b = max(above), min(below)
            # Well inside, so that the bracket shrinks from both sides.
            share = min(0.85, max(0.15, (found[a] - middle) / (found[a] - found[b])))
            c = a + min(b - a - 1, max(1, round(share * (b - a)))) if b - a > 1 else a
        else:
            away = math.ceil(reach * abs(value - middle) / slope)
            c = min(most, c + away) if value > high else max(-most, c - away)
            reach *= 4
