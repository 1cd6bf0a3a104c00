"""What files were encoded from, beside what is decoded: the same part of a picture, and how far the two are apart."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.coordinates import nearest_samples
from inrcodec.decoder import Inr
from inrcodec.limits import Limits
from inrcodec.sampling import averaged
from inrcodec.serve.planes import BITS, Box, Plane, of_numbers
from inrcodec.serve.problems import Refused, told_as
from inrcodec.signals import read_signal
from inrcodec.signals.base import Signal, exact_samples
from inrcodec.signals.codes import rescale_codes, values_of_codes

FULL = 0.1  # share of the samples' range from which on an error has the last colour


class Sources:
    """Signals that were read, by id, the least used of them forgotten when all together hold more than `most` bytes."""

    def __init__(self, place: Callable[[str], Path], *, most: int, limits: Limits) -> None:
        self._place, self._most, self._limits = place, most, limits
        self._held: OrderedDict[str, tuple[NDArray[Any], int]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, name: str) -> tuple[NDArray[Any], int]:
        """Samples (*axes, c), codes or numbers, and the bits of codes. Raises Refused (404) where there is no such source, or no grid."""
        path = self._place(name)
        with self._lock:  # one is read at a time: each may take much memory
            if name not in self._held:
                with told_as(path, name):
                    signal = read_signal(path, limits=self._limits, strip=True)
                if not isinstance(signal, Signal):
                    raise Refused(404, f"{name}: expected a source with samples on a grid, got a {signal.kind}")
                self._held[name] = (exact_samples(signal), signal.bits)
                while len(self._held) > 1 and sum(each.nbytes for each, _ in self._held.values()) > self._most:
                    self._held.popitem(last=False)
            self._held.move_to_end(name)
            return self._held[name]


def source_part(inr: Inr, source: tuple[NDArray[Any], int], plane: Plane, box: Box, size: tuple[int, int]) -> NDArray[Any]:
    """Part of a source at a size (width, height): (height, width, c), codes of BITS bits, or numbers. Means where it shrinks, else the
    nearest samples: nothing is made up. Raises Refused (404) for a source with another grid than its file."""
    samples, bits = source
    taken = _taken(_fitting(inr, samples), plane, box)
    if of_numbers(inr):
        return resized(taken, *size)
    return np.floor(resized(rescale_codes(taken, bits, BITS), *size) + 0.5).astype(np.uint8)


def errors(inr: Inr, source: tuple[NDArray[Any], int], plane: Plane, box: Box) -> NDArray[np.float64]:
    """|decoded - source| of nominal samples, mean over the channels, in shares of their range: (box.h, box.w)."""
    samples, bits = source
    taken = _taken(_fitting(inr, samples), plane, box)
    kept = {"dtype": np.float64} if of_numbers(inr) else {"bits": inr.bits}
    region = [(int(a), int(a) + b - a) for a, b in _nearest(plane).region(box)]
    decoded = inr.decode(region=[(a, round(b)) for a, b in region], **kept).reshape(taken.shape)
    if of_numbers(inr):
        spans = np.array([channel.high - channel.low for channel in inr.channels])
        apart = np.abs(decoded - taken.astype(np.float64)) / np.where(spans > 0, spans, 1.0)
    else:
        apart = np.abs(values_of_codes(decoded, inr.bits).astype(np.float64) - values_of_codes(taken, bits))
    return np.asarray(np.nan_to_num(apart).mean(axis=-1))


def resized(samples: NDArray[Any], width: int, height: int) -> NDArray[np.float64]:
    """Samples (h, w, c) at another size: (height, width, c)."""
    over = averaged(samples.shape[:2], (height, width))
    rows, columns = (nearest_samples(n, m * k) for n, m, k in zip(samples.shape[:2], (height, width), over, strict=True))
    fine = samples[np.ix_(rows, columns)].astype(np.float64)
    return np.asarray(fine.reshape(height, over[0], width, over[1], -1).mean(axis=(1, 3)))


def _fitting(inr: Inr, samples: NDArray[Any]) -> NDArray[Any]:
    if samples.shape != inr.shape:
        raise Refused(404, f"source: expected samples of shape {inr.shape}, as the file has, got {samples.shape}")
    return samples


def _nearest(plane: Plane) -> Plane:
    return Plane(plane.shape, tuple(None if cut is None else int(cut + 0.5) for cut in plane.cuts))


def _taken(samples: NDArray[Any], plane: Plane, box: Box) -> NDArray[Any]:
    """The part (box.h, box.w, c) of the nearest slice or frame."""
    place = tuple(slice(int(a), int(b)) for a, b in _nearest(plane).region(box))
    return samples[place].reshape(box.h, box.w, -1)
