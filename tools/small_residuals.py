"""Small files with a residual, made by hand like those of small_files.py, and the samples that they keep to."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import inrcodec
from inrcodec import context, residual
from inrcodec.context import ContextNet
from tools.small_files import Made, floats, four, siren, sound, volume

MASK, RESIDUAL = 7, 10
SINGLE, DOUBLE = 4e-5, 1e-9  # tolerances: of evaluation in float32, and in float64


def network(d: int, planes: int, *, lively: bool = True) -> ContextNet:
    """Of three neurons and some weights, or of one and none."""
    x, hidden = context.inputs(d), 3 if lively else 1
    shapes = ((hidden, x + 1), (2, hidden), (2, x), (2, planes))
    return ContextNet(*(np.array([(5 * k + 3) % 13 - 6 for k in range(math.prod(shape))]).reshape(shape) * lively for shape in shapes))


def corrected(made: Made, source: NDArray[Any], *, bound: float, tolerance: float, low: int = 0, lively: bool = True) -> Made:
    """The file with a residual that keeps to samples (*axes, c), its `low` lowest bits as they are."""
    out, whole = made.head["out"], source.dtype.kind in "iu"
    span = max(c.get("high", 1.0) - c.get("low", 0.0) for c in out["channels"]) * (1 if "dtype" in out else 2 ** out["bits"] - 1)
    step = (2 * bound + whole - 2 * tolerance * span) * (1 if whole else 0.999)
    away = (source - inrcodec.open(made.bytes(), backend="numpy", device="cpu").unrounded()) / step
    planes = residual.to_planes(np.rint(np.nan_to_num(away)).astype(np.int32))
    payload = residual.encode(planes, low, network(planes.ndim - 1, planes.shape[-1], lively=lively))
    return stated(made, bound=bound, step=step, tolerance=tolerance).with_residual(payload)


class Corrected(Made):
    """A file with a residual."""

    def with_residual(self, payload: bytes) -> "Corrected":
        others = [part for part in self.tensors if part[0] != RESIDUAL]
        place = len(others) - (others[-1][0] == MASK)
        return replace(self, tensors=(*others[:place], (RESIDUAL, payload), *others[place:]))

    def with_stated(self, **changes: Any) -> "Corrected":
        """Other values in HEAD.out.residual; those that are None are left out."""
        changed = {key: value for key, value in {**self.head["out"]["residual"], **changes}.items() if value is not None}
        return Corrected(self.with_out(residual=changed).head, self.tensors)


def stated(made: Made, **values: Any) -> Corrected:
    """HEAD that speaks of a residual, and none yet."""
    return Corrected(made.with_head(req=["residual"]).with_out(residual=values).head, made.tensors)


def pattern(shape: tuple[int, ...], modulus: int) -> NDArray[np.int64]:
    """Integers from 0 to below `modulus` without much order."""
    return np.array([k * k * k * 7 % modulus for k in range(math.prod(shape))]).reshape(shape)


def picture() -> Made:
    """Grey and alpha of 10 bits."""
    made = siren().with_net(2, 2).with_tensor(2, 0, floats(*((3 * k % 16 - 8) / 8 for k in range(16)))).with_tensor(3, 0, floats(0.25, 0.5))
    grey = made.head["out"]["channels"][0]
    return made.with_out(bits=10, channels=[grey, {**grey, "name": "A", "role": "alpha", "scale": 0.25}])


def line() -> Made:
    """11 numbers of 16 bits in 3 windows."""
    made = sound().with_head(axes=[{"name": "t", "n": 11, "lo": 0.0, "hi": 11.0}]).with_out(dtype="int16")
    return made.with_channel(role="value", low=-3000.0, high=3000.0)


def gaps() -> tuple[Made, NDArray[np.float32]]:
    """The volume of small_files.py in float32."""
    there = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1]], bool)[..., None]
    return volume().with_channel(role="value", low=-4.0, high=4.0), np.where(there, pattern((3, 3, 1), 31) / 5 - 3, np.nan).astype(
        np.float32
    )


def files() -> dict[str, tuple[bytes, NDArray[Any] | None]]:
    """All of them by name: the file, the samples (*axes, c) if there are any that it was made for."""
    codes, numbers = pattern((4, 5, 2), 1009).astype(np.uint16), (pattern((11, 1), 4001) - 2000).astype(np.int16)
    field = pattern((3, 3, 3, 3, 1), 251).astype(np.uint8)
    volumetric, samples = gaps()
    made = {
        "residual": (corrected(picture(), codes, bound=0.0, tolerance=SINGLE), codes),
        "residual-line": (corrected(line(), numbers, bound=0.0, tolerance=SINGLE, low=2), numbers),
        "residual-four": (corrected(four(), field, bound=0.0, tolerance=DOUBLE, low=5), field),
        "residual-missing": (corrected(volumetric, samples, bound=0.01, tolerance=DOUBLE), samples),
        "residual-none": (stated(siren(), bound=2.0, step=5.0, tolerance=SINGLE).with_residual(b""), None),
    }
    return {name: (part.bytes(), source) for name, (part, source) in made.items()}
