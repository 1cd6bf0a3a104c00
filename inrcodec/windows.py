"""A long axis in overlapping windows, each with a network of its own, cross-faded (spec section "Windows").

With q = n (x - lo) / (hi - lo) the position on an axis of n nominal samples, window w covers wH - V/2 <= q <= (w + 1)H + V/2; H is the
hop, V <= H the overlap. The network of a window sees the coordinate 2 (q - (w + 1/2)H) / (H + V), which is -1 and 1 at its borders. Where
windows w - 1 and w overlap, with t = (q - wH) / V + 1/2, the output is y[w-1] + r (y[w] - y[w-1]), r = t^2 (3 - 2t). All of this is in
coordinates: it does not depend on the rate at which the axis is sampled.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.coordinates import Lattice, Points

Floats = NDArray[np.float64]
Outputs = NDArray[np.float32]
Evaluate = Callable[[Points | Lattice], Outputs]  # coordinates of n samples -> (n, c)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of one axis of `n` nominal samples between the coordinates `lo` and `hi`; `hop` and `overlap` in nominal samples."""

    n: int
    hop: int
    overlap: int
    lo: float = -1.0
    hi: float = 1.0

    def __post_init__(self) -> None:
        if not (1 <= self.hop < self.n and 2 <= self.overlap <= self.hop and self.overlap % 2 == 0):
            raise ValueError(f"expected an even overlap of 2 to the hop, and a hop below {self.n}, got {self.overlap} and {self.hop}")

    @property
    def count(self) -> int:
        return -(-self.n // self.hop)

    @property
    def length(self) -> int:
        """Nominal samples of a window, overlaps included."""
        return self.hop + self.overlap

    @property
    def slope(self) -> float:
        """Change of a window's coordinate per change of the axis' coordinate."""
        return 2 * self.n / (self.length * (self.hi - self.lo))

    def position(self, x: Floats) -> Floats:
        """q of coordinates x."""
        return self.n * ((x - self.lo) / (self.hi - self.lo))

    def local(self, q: Floats, w: int) -> Floats:
        """The coordinate that the network of window w sees."""
        return (q - (w + 0.5) * self.hop) * (2 / self.length)

    def rise(self, q: Floats, w: int) -> Floats:
        """Weight r of window w beside w - 1, for q where the two overlap."""
        t = np.clip((q - w * self.hop) / self.overlap + 0.5, 0.0, 1.0)
        return np.asarray(t * t * (3 - 2 * t))

    def rise_slope(self, q: Floats, w: int) -> Floats:
        """Its derivative by the axis' coordinate."""
        t = np.clip((q - w * self.hop) / self.overlap + 0.5, 0.0, 1.0)
        return np.asarray(6 * t * (1 - t) / self.overlap * (self.n / (self.hi - self.lo)))

    def parts(self, q: Floats) -> Iterator[tuple[int, slice, int]]:
        """For ascending q, each window that has samples: (w, its samples, how many of the first it shares with window w - 1).

        The first and the last window have whatever lies beyond the axis.
        """
        half = self.overlap / 2
        last = self.count - 1
        low, high = (min(max(int((edge + shift) // self.hop), 0), last) for edge, shift in ((q[0], -half), (q[-1], half)))
        for w in range(low, high + 1):
            start = 0 if w == 0 else int(np.searchsorted(q, w * self.hop - half, side="left"))
            stop = len(q) if w == last else int(np.searchsorted(q, (w + 1) * self.hop + half, side="left"))
            alone = start if w == 0 else int(np.searchsorted(q, w * self.hop + half, side="left"))
            if start < stop:
                yield w, slice(start, stop), min(alone, stop) - start


def windows_of(head: Mapping[str, Any]) -> Windows | None:
    """The windows of a checked HEAD map, or None."""
    if "windows" not in head:
        return None
    axis, found = head["axes"][0], head["windows"]
    return Windows(n=axis["n"], hop=found["hop"][0], overlap=found["overlap"][0], lo=axis.get("lo", -1.0), hi=axis.get("hi", 1.0))


def window_params(params: Mapping[str, NDArray[np.float32]], shared: frozenset[str], w: int) -> dict[str, NDArray[np.float32]]:
    """Views of the parameters of window w; those named in `shared` are the same in all windows."""
    return {name: value if name in shared else value[w] for name, value in params.items()}


def blended(windows: Windows, evaluators: Callable[[int], Evaluate], coords: Points | Lattice) -> Outputs:
    """Outputs (n, c) at coordinates of one axis; evaluators(w) is the network of window w."""
    q, order = _ascending(windows, coords)
    result: Outputs | None = None
    for w, part, shared in windows.parts(q):
        local = windows.local(q[part], w)
        y = evaluators(w)(Lattice((local,)) if order is None else Points(local[:, None]))
        if result is None:
            result = np.empty((len(q), y.shape[1]), dtype=y.dtype)
        if shared:
            fade = slice(part.start, part.start + shared)
            before = result[fade]
            y[:shared] = before + windows.rise(q[fade], w).astype(y.dtype)[:, None] * (y[:shared] - before)
        result[part] = y
    assert result is not None
    return result if order is None else _restored(result, order)


def blended_slopes(windows: Windows, evaluators: Callable[[int], tuple[Evaluate, Evaluate]], coords: Points) -> Outputs:
    """Derivatives (n, c, 1) of `blended` by the axis' coordinate; evaluators(w) gives outputs (n, c) and local slopes (n, c, 1)."""
    q, order = _ascending(windows, coords)
    values = slopes = None
    for w, part, shared in windows.parts(q):
        local = Points(windows.local(q[part], w)[:, None])
        y, dy = (np.array(evaluate(local)) for evaluate in evaluators(w))
        dy *= np.float32(windows.slope)
        if values is None or slopes is None:
            values, slopes = np.empty((len(q), y.shape[1]), np.float32), np.empty((len(q), *dy.shape[1:]), np.float32)
        if shared:
            fade = slice(part.start, part.start + shared)
            r, dr = (f(q[fade], w).astype(np.float32)[:, None] for f in (windows.rise, windows.rise_slope))
            difference = y[:shared] - values[fade]
            dy[:shared] = slopes[fade] + r[:, None] * (dy[:shared] - slopes[fade]) + (dr * difference)[..., None]
            y[:shared] = values[fade] + r * difference
        values[part], slopes[part] = y, dy
    assert slopes is not None
    return slopes if order is None else _restored(slopes, order)


def _ascending(windows: Windows, coords: Points | Lattice) -> tuple[Floats, NDArray[np.intp] | None]:
    """Positions of the samples in ascending order, and that order; a lattice is in it already."""
    if isinstance(coords, Lattice):
        return windows.position(coords.axes[0]), None
    q = windows.position(coords.values[:, 0])
    order = np.argsort(q, kind="stable")
    return q[order], order


def _restored(values: Outputs, order: NDArray[np.intp]) -> Outputs:
    result = np.empty_like(values)
    result[order] = values
    return result
