"""The activations of `Ops.activated`, written once for all engines.

    gaussian       (s)         exp(-(s z)^2)                                   Ramasinghe and Lucey 2022, as in the code of WIRE and FINER
    finer          (w)         sin(w (|z| + 1) z)                              Liu et al. 2024
    sines          o, f, a     sum_i a_i sin(o_i z + f_i)                      STAF, Morsali et al. 2025; o, f, a are tensors (sines)
    gabor          (w, s)      exp(i w z - |s z|^2), z real                    WIRE, Saragadam et al. 2023
    complex-gabor  (w, s)      the same, z complex

Complex numbers are pairs: all real parts of a layer, then all imaginary ones.
"""

from collections.abc import Sequence
from typing import Any

from inrcodec.ops import Wave


def activate(xp: Any, z: Any, wave: Wave, constants: Sequence[float], tensors: Sequence[Any], axis: int) -> Any:
    """wave(z) by the functions of `xp`: numpy, torch, duals.py, onnx_waves.py; the neurons lie along `axis` of z."""
    if wave == "gaussian":
        return xp.exp(-((constants[0] * z) ** 2))
    if wave == "finer":
        return xp.sin(constants[0] * (abs(z) + 1) * z)
    if wave == "sines":
        return sum(a * xp.sin(o * z + f) for o, f, a in zip(*tensors, strict=True))
    omega, scale = constants
    if wave == "gabor":
        real, size, turn = z, (scale * z) ** 2, omega * z
    else:
        real, imaginary = (xp.hsplit if axis else xp.vsplit)(z, 2)
        size, turn = scale**2 * (real**2 + imaginary**2) + omega * imaginary, omega * real
    envelope = xp.exp(-size)
    return xp.concatenate([envelope * xp.cos(turn), envelope * xp.sin(turn)], axis)
