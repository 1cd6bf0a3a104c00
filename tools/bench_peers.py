"""Error-bounded compressors of volumes beside which the codec is measured: SZ3 and ZFP (inrcodec.bench), TTHRESH, SPERR.

Each is tried in every form that may serve it (type of the samples, predictor, mode), and for a byte budget the best of all counts.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from inrcodec.bench.base import Array, Unusable
from inrcodec.bench.machine import versions
from inrcodec.bench.quality import value_psnr
from inrcodec.bench.volume_peers import Form, ladder, of_shape, sz3_forms, zfp_forms
from tools.bench_common import Results
from tools.bench_volumes import RATIOS, VOLUMES, Volume, load_volume

CODECS = ("sz3", "zfp", "tthresh", "sperr")
PACKAGES = ("pysz", "zfpy", "numcodecs-wasm-tthresh", "numcodecs-wasm-sperr")
CLOSE = 0.99  # of a budget: as good as full


@dataclass(frozen=True)
class Point:
    """One encoding: its form and parameter, bytes, PSNR in dB, seconds."""

    form: str
    parameter: float
    bytes: int
    psnr: float
    encode_seconds: float
    decode_seconds: float


def best_points(form: Form, budgets: Sequence[int], quality: Callable[[Array], float]) -> tuple[list[Point | None], Point]:
    """For each budget in bytes the encoding of the best quality that fits, or None; and the one of the fewest bytes that decodes."""
    made: dict[float, tuple[bytes, float]] = {}

    def size(parameter: float) -> int:
        if parameter not in made:
            begin = time.perf_counter()
            stream = form.encode(parameter)
            made[parameter] = stream, time.perf_counter() - begin
        return len(made[parameter][0])

    measured: dict[float, Point | None] = {}

    def measure(parameter: float) -> None:
        if parameter not in measured:
            stream, seconds = made[parameter]
            begin = time.perf_counter()
            try:
                decoded = form.decode(stream)
            except Unusable:
                measured[parameter] = None
                return
            after = time.perf_counter() - begin
            measured[parameter] = Point(form.name, parameter, len(stream), quality(decoded), seconds, after)

    for parameter in form.ladder:
        size(parameter)
    for budget in budgets:
        _approach(size, made.keys, budget, form.refine)
        for parameter in sorted(parameter for parameter in made if size(parameter) <= budget)[: form.checked]:
            measure(parameter)
    for parameter in sorted(made, key=lambda parameter: (size(parameter), parameter)):
        measure(parameter)
        if measured[parameter] is not None:
            break
    points = [point for point in measured.values() if point is not None]
    # a smaller file may be the better one
    found = [max((point for point in points if point.bytes <= budget), key=lambda p: p.psnr, default=None) for budget in budgets]
    return found, min(points, key=lambda p: (p.bytes, -p.psnr))


def _approach(size: Callable[[float], int], known: Callable[[], Any], budget: int, attempts: int) -> None:
    """Encode at parameters ever nearer to the finest whose size is within the budget."""
    for _ in range(attempts):
        fits = [parameter for parameter in known() if size(parameter) <= budget]
        if not fits or size(min(fits)) >= CLOSE * budget:
            return
        fit = min(fits)
        finer = [parameter for parameter in known() if parameter < fit]
        if not finer or fit / max(finer) < 1 + 1e-5:
            return
        over = max(finer)
        # log size against log parameter is nearly straight; the clip keeps a step from being none
        slope = np.log(size(over) / budget) / np.log(size(over) / size(fit))
        size(float(over * (fit / over) ** np.clip(slope, 0.05, 0.95)))


def forms_of(codec: str, values: Array) -> list[Form]:
    """The forms of a compressor for a volume (z, y, x)."""
    return {"sz3": sz3_forms, "zfp": zfp_forms, "tthresh": _tthresh, "sperr": _sperr}[codec](values)


def _tthresh(values: Array) -> list[Form]:
    """The program `tthresh` where it is on the path, else its build for WebAssembly, which stops on large volumes at fine settings."""
    program = shutil.which("tthresh")
    # seconds each: its size is smooth, so a few do
    errors = tuple(np.geomspace(5e-3, 0.1, 5).tolist())
    if program is not None:
        return [_tthresh_program(values, program, errors)]
    from numcodecs_wasm_tthresh import Tthresh

    # It takes the first axis for the fastest, so the same memory under the reversed shape.
    samples = np.ascontiguousarray(values, dtype="float32").reshape(values.shape[::-1])

    def encode(error: float) -> bytes:
        with _quiet_stdout():
            return bytes(np.asarray(Tthresh(eb_mode="psnr", eb_psnr=-20 * np.log10(error)).encode(samples)))

    def decode(stream: bytes) -> Array:
        try:
            with _quiet_stdout():
                decoded = np.asarray(Tthresh(eb_mode="psnr", eb_psnr=40.0).decode(np.frombuffer(stream, np.uint8)))
        except Exception as error:  # a trap of its runtime
            raise Unusable(str(error)) from error
        return decoded.reshape(values.shape)

    return [Form("float32 psnr", errors, encode, decode, refine=3)]


def _tthresh_program(values: Array, program: str, errors: tuple[float, ...]) -> Form:
    def run(files: dict[str, bytes], result: str, *options: str) -> bytes:
        with TemporaryDirectory() as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            ended = subprocess.run([program, *options], cwd=folder, capture_output=True, check=False)
            if ended.returncode:
                raise Unusable(f"{program} ended with {ended.returncode}")
            return Path(folder, result).read_bytes()

    def encode(error: float) -> bytes:
        sizes = [str(n) for n in values.shape[::-1]]
        samples = values.astype(np.float32).tobytes()
        return run({"in": samples}, "out", "-i", "in", "-t", "float", "-s", *sizes, "-p", f"{-20 * np.log10(error)}", "-c", "out")

    def decode(stream: bytes) -> Array:
        return np.frombuffer(run({"in": stream}, "out", "-c", "in", "-o", "out"), np.float32).reshape(values.shape)

    return Form("float32 psnr, program", errors, encode, decode)


def _sperr(values: Array) -> list[Form]:
    from numcodecs_wasm_sperr import Sperr

    samples = np.ascontiguousarray(values, dtype="float32")

    def form(name: str, ladder: tuple[float, ...], options: Callable[[float], dict[str, Any]]) -> Form:
        def encode(parameter: float) -> bytes:
            return bytes(np.asarray(Sperr(**options(parameter)).encode(samples)))

        def decode(stream: bytes) -> Array:
            return of_shape(np.asarray(Sperr(mode="psnr", psnr=40.0).decode(np.frombuffer(stream, np.uint8))), values)

        return Form(name, ladder, encode, decode, checked=2)

    return [
        form("float32 q", ladder(values, 2e-3, 8.0, 10), lambda step: {"mode": "q", "q": step}),
        form("float32 bpp", tuple(np.geomspace(2.0, 2e5, 8).tolist()), lambda inverse: {"mode": "bpp", "bpp": 1 / inverse}),
    ]


@contextmanager
def _quiet_stdout() -> Iterator[None]:
    """TTHRESH tells its sizes on file descriptor 1."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def peers_section(results: Results) -> None:
    results.begin("peers", versions=versions(PACKAGES), ratios=list(RATIOS), peak="range of the source's values")
    for name in VOLUMES:
        wanted = [codec for codec in CODECS if results.wanted("peers", f"{name}/{codec}")]
        volume = load_volume(name) if wanted else None
        for codec in wanted:
            assert volume is not None
            results.put("peers", f"{name}/{codec}", peer_row(volume, codec))


def peer_row(volume: Volume, codec: str) -> dict[str, Any]:
    """The curve of one compressor on one volume; `error` where it cannot be used."""
    row: dict[str, Any] = {"volume": volume.name, "codec": codec, "raw_bytes": volume.raw_bytes}

    def quality(decoded: Array) -> float:
        found = value_psnr(volume.values, decoded)
        return float("inf") if found is None else found

    try:
        forms = forms_of(codec, volume.values)
        found = [best_points(form, [volume.raw_bytes // ratio for ratio in RATIOS], quality) for form in forms]
    except (ImportError, ValueError, RuntimeError, Unusable) as error:
        return {**row, "error": " ".join(f"{type(error).__name__}: {error}".split())}
    points = []
    for k, ratio in enumerate(RATIOS):
        fits = [curve[k] for curve, _ in found]
        best = max((point for point in fits if point is not None), key=lambda p: p.psnr, default=None)
        points.append({"ratio": ratio, "psnr": None} if best is None else {"ratio": ratio, **_plain(best)})
    smallest = min((point for _, point in found), key=lambda p: (p.bytes, -p.psnr))
    return {**row, "points": points, "largest_ratio": {"ratio": round(volume.raw_bytes / smallest.bytes, 1), **_plain(smallest)}}


def _plain(point: Point) -> dict[str, Any]:
    return {
        "bytes": point.bytes,
        "psnr": round(point.psnr, 3),
        "form": point.form,
        "parameter": float(f"{point.parameter:.6g}"),
        "encode_seconds": round(point.encode_seconds, 3),
        "decode_seconds": round(point.decode_seconds, 3),
    }
