"""Fields: functions of points as signals, sampled on a lattice, and arrays of decoded ones."""

import hashlib
import io
import math
import zipfile
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError, LimitExceeded, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals.base import Axis, Channel, Samples, Signal, Slabs, Space, as_slabs
from inrcodec.signals.volume_write import write_npy, write_raw

SUFFIXES = (".npy", ".npz", ".raw")
AXES = ("t", "z", "y", "x")
_POINTS = 1 << 18  # given to the function at a time
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of an archive's member: the same samples give the same bytes

Function = Callable[[NDArray[np.float64]], NDArray[Any]]


def field_signal(
    function: Function,
    *,
    shape: Sequence[int],
    box: Sequence[tuple[float, float]] | None = None,
    names: Sequence[str] | None = None,
    units: str = "",
    limits: Limits = DEFAULT_LIMITS,
) -> Signal:
    """A function of points (n, d) float64, d = 1..4, to values (n, c) as a signal of float32 samples of `shape` (d sizes).

    Samples lie at the centres of the cells that `shape` cuts `box` into, one (low, high) per axis, [-1, 1] if None; axes and the
    components of a point are in one order, slowest first. `names` are those of the channels. The space of the signal is that of the box,
    in `units`. Raises UsageError for options that do not fit, InputError for values of another shape, NaN and infinity,
    LimitExceeded for more than `limits.output_samples`.
    """
    sizes = tuple(int(n) for n in shape)
    box = [(-1.0, 1.0)] * len(sizes) if box is None else [(float(low), float(high)) for low, high in box]
    _check(sizes, box, limits)
    steps = [(high - low) / n for n, (low, high) in zip(sizes, box, strict=True)]
    values = _sampled(function, sizes, [low + 0.5 * step for (low, _), step in zip(box, steps, strict=True)], steps)
    c = values.shape[1]
    if names is None:
        names = ["value"] if c == 1 else [f"value{k}" for k in range(c)]
    if len(names) != c:
        raise UsageError(f"names: expected {c}, one per channel, got {len(names)}")
    low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)
    high = np.where(high > low, high, low + np.maximum(1.0, np.spacing(np.abs(low))))
    longest = max(sizes)
    d = len(sizes)
    affine = np.diag([*steps, 1.0])
    affine[:d, d] = [a + 0.5 * step for (a, _), step in zip(box, steps, strict=True)]
    return Signal(
        kind="field",
        axes=tuple(Axis(name, n, -n / longest, n / longest) for name, n in zip(AXES[-d:], sizes, strict=True)),
        channels=tuple(Channel(name, "value", float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)),
        values=((values - low) / (high - low)).astype(np.float32).reshape(*sizes, c),
        samples=values.reshape(*sizes, c),
        bits=16,
        dtype="float32",
        space=Space(tuple(steps), tuple(affine.reshape(-1).tolist()), units),
        source=getattr(function, "__name__", "function"),
        digest=hashlib.sha256(values.tobytes()).hexdigest(),
    )


def accepts(head: bytes, suffix: str) -> bool:
    """No file is a field."""
    return False


def read_field(data: bytes, name: str, *, limits: Limits = DEFAULT_LIMITS, strip: bool = False) -> Signal:
    """Raises UsageError: fields come from functions."""
    raise UsageError(f"{name}: a field is made of a function by inrcodec.field_signal, not read from a file")


def write_field(samples: Samples, suffix: str) -> bytes:
    """The file that `stream_field` writes of samples that are all there."""
    out = io.BytesIO()
    stream_field(as_slabs(samples), suffix, out)
    return out.getvalue()


def stream_field(slabs: Slabs, suffix: str, out: IO[bytes]) -> None:
    """Write samples (*axes, c) as .npy, .npz (the array "data", not compressed) or .raw; one channel has no axis of its own."""
    if suffix == ".npy":
        write_npy(slabs, out)
    elif suffix == ".raw":
        write_raw(slabs, out)
    elif suffix == ".npz":
        with zipfile.ZipFile(out, "w") as archive, archive.open(zipfile.ZipInfo("data.npy", _EPOCH), "w", force_zip64=True) as member:
            write_npy(slabs, member)
    else:
        raise UsageError(f"cannot write a field as {suffix!r}; expected one of {' '.join(SUFFIXES)}")


def _check(sizes: tuple[int, ...], box: Sequence[tuple[float, float]], limits: Limits) -> None:
    if not 1 <= len(sizes) <= 4 or min(sizes) < 1:
        raise UsageError(f"shape: expected 1 to 4 positive sizes, got {sizes}")
    if len(box) != len(sizes):
        raise UsageError(f"box: expected {len(sizes)} (low, high) pairs, one per axis, got {len(box)}")
    for k, (low, high) in enumerate(box):
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UsageError(f"box: axis {k}: expected finite low < high, got {low} and {high}")
    if math.prod(sizes) > limits.output_samples:
        raise LimitExceeded(f"field: {math.prod(sizes)} samples, the limit is {limits.output_samples} (Limits.output_samples)")


def _sampled(function: Function, sizes: tuple[int, ...], first: Sequence[float], steps: Sequence[float]) -> NDArray[np.float32]:
    """Values (n, c) at the lattice of points first + index * steps, in C order."""
    total = math.prod(sizes)
    parts: list[NDArray[np.float32]] = []
    for start in range(0, total, _POINTS):
        index = np.stack(np.unravel_index(np.arange(start, min(total, start + _POINTS)), sizes), axis=1)
        points = np.asarray(first) + index * np.asarray(steps)
        found = np.asarray(function(points))
        columns = f"(n, {parts[0].shape[1]})" if parts else "(n, c)"
        if found.ndim != 2 or len(found) != len(points) or not found.shape[1] or (parts and found.shape[1] != parts[0].shape[1]):
            raise InputError(f"field: expected values {columns} of {len(points)} points, got shape {found.shape}")
        if found.dtype.kind not in "biuf":
            raise InputError(f"field: expected real numbers, got {found.dtype}")
        with np.errstate(over="ignore"):
            values = found.astype(np.float32)
        wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(wrong):
            place = ", ".join(f"{x:g}" for x in points[wrong[0]])
            raise InputError(f"field: expected finite float32 values, got {found[wrong[0]].tolist()} at ({place})")
        parts.append(values)
    return np.concatenate(parts)
