"""Error-bounded compressors of volumes beside which the codec is measured: SZ3 and ZFP, in every form that may serve them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from inrcodec.bench.base import Array, Missing, Peer, Trial
from inrcodec.bench.machine import versions

LABELS = {"sz3": "SZ3", "zfp": "ZFP"}
_PACKAGES = {"sz3": ("pysz", "pysz"), "zfp": ("zfpy", "zfpy")}  # module, distribution


@dataclass(frozen=True)
class Form:
    """One way to use a compressor. A larger parameter is a coarser result; `ladder` goes from fine to coarse.

    refine   encodings per budget beside the ladder's, 0 where parameters between those of the ladder mean nothing
    checked  how many of the finest that fit a budget are decoded to find the best: more than one where the error is not monotone
    """

    name: str
    ladder: tuple[float, ...]
    encode: Callable[[float], bytes]
    decode: Callable[[bytes], Array]
    refine: int = 8
    checked: int = 1


def volume_peers() -> tuple[Peer | Missing, ...]:
    """Every codec of LABELS, as installed or as missing. Trials want (z, y, x); their parameters name the form and its setting."""
    return tuple(_peer(name) for name in LABELS)


def _peer(name: str) -> Peer | Missing:
    module, package = _PACKAGES[name]
    try:
        importlib.import_module(module)
    except ImportError:
        return Missing(name, f"{package} is not installed; install it with: pip install 'inrcodec[peers]'")
    return Peer(name, f"{package} {versions((package,))[package]}", partial(_trials, make={"sz3": sz3_forms, "zfp": zfp_forms}[name]))


def _trials(values: Array, *, make: Callable[[Array], list[Form]]) -> list[Trial]:
    return [
        Trial(f"{form.name} {setting:.6g}", partial(form.encode, setting), form.decode) for form in make(values) for setting in form.ladder
    ]


def sz3_forms(values: Array) -> list[Form]:
    from pysz import sz, szAlgorithm, szConfig, szErrorBoundMode

    def form(dtype: str, algorithm: str, order: tuple[int, ...]) -> Form:
        samples = np.ascontiguousarray(values.transpose(order), dtype=dtype)

        def encode(bound: float) -> bytes:
            config = szConfig()
            config.errorBoundMode = szErrorBoundMode.ABS
            config.absErrorBound = bound
            config.cmprAlgo = getattr(szAlgorithm, algorithm)
            return bytes(sz.compress(samples, config)[0])

        def decode(stream: bytes) -> Array:
            decoded = sz.decompress(np.frombuffer(stream, np.uint8).copy(), samples.dtype, samples.shape)[0]
            return of_shape(decoded.transpose(np.argsort(order)), values)

        axes = "".join("zyx"[axis] for axis in order)
        return Form(f"{dtype} {algorithm} abs {axes}", ladder(values, 2e-3, 0.5, 12), encode, decode, checked=3)

    # It predicts along one axis after the other. Its predictors without interpolation need twice the bytes at these ratios.
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    result = [form("float32", "INTERP_LORENZO", order) for order in orders] + [form("float32", "INTERP", orders[0])]
    return [*result, form("int32", "INTERP_LORENZO", orders[0])] if values.dtype.kind in "iu" else result


def zfp_forms(values: Array) -> list[Form]:
    precisions = tuple(-float(bits) for bits in range(16, 0, -1))
    middle = (float(values.max()) + float(values.min())) / 2
    result = [*_zfp_floats(values, 0.0, precisions), *_zfp_floats(values, middle, precisions)]
    if values.dtype.kind not in "iu":
        return result
    return [*result, *_zfp_integers(values, int(np.ceil(middle)), precisions), *_zfp_integers(values, int(values.min()), precisions)]


def _zfp_floats(values: Array, zero: float, precisions: tuple[float, ...]) -> list[Form]:
    """Samples less `zero`, which takes four bytes where it is not 0."""
    import zfpy

    samples = np.ascontiguousarray(values.astype(np.float64) - zero, dtype="float32")
    extra = b"zero" if zero else b""

    def decode(stream: bytes) -> Array:
        return of_shape(zfpy.decompress_numpy(stream[: len(stream) - len(extra)]) + zero, values)

    name = f"float32 around {zero:g}"
    bounds = ladder(values, 1e-4, 64.0, 30)
    return [
        Form(f"{name} tolerance", bounds, lambda bound: bytes(zfpy.compress_numpy(samples, tolerance=bound)) + extra, decode, checked=3),
        Form(
            f"{name} precision",
            precisions,
            lambda bits: bytes(zfpy.compress_numpy(samples, precision=int(-bits))) + extra,
            decode,
            refine=0,
        ),
    ]


def _zfp_integers(values: Array, zero: int, precisions: tuple[float, ...]) -> list[Form]:
    """Integers shifted so that `zero` is 0 and spread over the 31 bits that zfp works with."""
    import zfpy

    largest = max(int(values.max()) - zero, zero - 1 - int(values.min()))
    shift = 30 - largest.bit_length()
    spread = np.ascontiguousarray((values.astype(np.int32) - zero) << shift)

    def decode(stream: bytes) -> Array:
        return of_shape(zfpy.decompress_numpy(stream) / 2.0**shift + zero, values)

    name = f"int32 around {zero}"
    rates = tuple(-bits / 64 for bits in range(64, 0, -2))
    return [
        Form(f"{name} precision", precisions, lambda bits: bytes(zfpy.compress_numpy(spread, precision=int(-bits))), decode, refine=0),
        Form(f"{name} rate", rates, lambda rate: bytes(zfpy.compress_numpy(spread, rate=-rate)), decode, refine=0),
    ]


def ladder(values: Array, low: float, high: float, n: int) -> tuple[float, ...]:
    """n error bounds from `low` to `high` times the range of the values."""
    return tuple((np.geomspace(low, high, n) * float(np.ptp(values))).tolist())


def of_shape(decoded: Array, values: Array) -> Array:
    if decoded.shape != values.shape:
        raise ValueError(f"decoded: expected shape {values.shape}, got {decoded.shape}")
    return decoded
