"""encode, open, verify: the codec's three doors."""

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec import spec
from inrcodec.container import Chunk, Container, compress, dump, pack_map
from inrcodec.decoder import Inr, open_inr
from inrcodec.errors import UsageError, VerificationFailed
from inrcodec.files import write_atomic
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.metrics import psnr as measure_psnr
from inrcodec.metrics import ssim as measure_ssim
from inrcodec.progress import Progress, ProgressCallback
from inrcodec.signals import read_signal
from inrcodec.signals.base import Axis, Signal
from inrcodec.validity import encode as encode_missing
from inrcodec.version import VERSION
from inrcodec.weights import network_list, pack

Source = str | os.PathLike[str] | bytes | IO[bytes] | NDArray[Any] | Signal
Setting = int | float | str
PROVENANCE_BYTES = 230  # about
MAX_COARSER = 8 * 12  # twelve octaves of quantization steps


@dataclass(frozen=True)
class Report:
    """What an encode gave, measured on the file decoded from its bytes at the source's bit depth or type.

    psnr is against the full scale of codes or, of a signal of numbers, against the range of its values; max_error is in their units.
    """

    arch: str
    bytes: int
    bpp: float
    psnr: float
    ssim: float | None
    max_error: float | None
    parameters: int
    steps: int
    encode_seconds: float
    decode_seconds: float
    target: str | None
    target_met: bool
    interrupted: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Encoded:
    """A finished .inr and the report on it."""

    data: bytes
    report: Report

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Write the file atomically. Raises UsageError if it exists and is not to be overwritten."""
        write_atomic(path, self.data, overwrite=overwrite)


def encode(
    source: Source,
    *,
    kind: str | None = None,
    quality: float | None = None,
    psnr: float | None = None,
    bpp: float | None = None,
    size: int | None = None,
    effort: int = 5,
    preset: str | None = None,
    arch: str | None = None,
    settings: Mapping[str, Setting] | None = None,
    device: str = "auto",
    seed: int = 0,
    time_limit: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    strip: bool = False,
    frames: int | None = None,
    rate: float | None = None,
    on_interrupt: str = "discard",
    deterministic: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: ProgressCallback | None = None,
) -> Encoded:
    """Fit a signal (path, bytes, binary file, array or Signal) and return the .inr file.

    At most one of quality (0..100), psnr (dB, at least), bpp (bits per sample, at most), size (bytes, at most). A missed target is told by
    report.target_met; the file is still the best one found. time_limit: seconds for the fit.
    frames, rate: as for `read_signal`. Raises InputError, UsageError, LimitExceeded,
    BackendMissing, Interrupted.
    """
    from inrcodec.fit.presets import Request, make_plan

    begin = time.monotonic()
    if sum(value is not None for value in (quality, psnr, bpp, size)) > 1:
        raise UsageError("target: expected at most one of quality, psnr, bpp, size")
    if seed < 0:
        raise UsageError(f"seed: expected at least 0, got {seed}")
    if on_interrupt not in ("discard", "save"):
        raise UsageError(f"on_interrupt: expected discard or save, got {on_interrupt}")
    if time_limit is not None and not (math.isfinite(time_limit) and time_limit > 0):
        raise UsageError(f"time_limit: expected a positive number of seconds, got {time_limit}")
    if resume and checkpoint is None:
        raise UsageError("resume: needs a checkpoint to resume from (--checkpoint PATH)")
    signal = source if isinstance(source, Signal) else read_signal(source, kind=kind, limits=limits, strip=strip, frames=frames, rate=rate)
    shape = tuple(axis.n for axis in signal.axes)
    samples = math.prod(shape)
    if bpp is not None and not (math.isfinite(bpp) and bpp > 0):
        raise UsageError(f"bpp: expected a positive number, got {bpp}")
    request = Request(
        shape=shape,
        channels=len(signal.channels),
        kind=signal.kind,
        quality=quality,
        psnr=psnr,
        size=size if bpp is None else max(64, int(bpp * samples / 8)),
        effort=effort,
        preset=preset or "default",
        arch=arch or "sasnet.1",
        settings=dict(settings or {}),
    )
    plan = make_plan(request)

    from inrcodec.backends.torch import threads_of, torch_device
    from inrcodec.fit.data import training_data
    from inrcodec.fit.trainer import RunOptions, fit
    from inrcodec.memory import keep_freed_memory

    chosen = torch_device(device)
    keep_freed_memory()
    data = training_data(
        signal.values,
        signal.weights,
        [(a.lo, a.hi) for a in signal.axes],
        stride=plan.schedule.stride,
        device=chosen,
        parts=threads_of(chosen),
    )
    masks = [] if signal.missing is None else [encode_missing(signal.missing)]
    head = _head(signal, plan.network, plan.config, data.scale, data.offset)
    ancillary = _metadata_chunks(signal)
    key = _fit_key(signal, asdict(request), seed)
    fitted = fit(
        data,
        plan,
        RunOptions(
            seed=seed,
            device=chosen,
            time_limit=time_limit,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            checkpoint_key=key,
            other_bytes=_bytes_beside_payloads(plan, head, masks, ancillary) + (0 if deterministic else PROVENANCE_BYTES),
            resume=resume,
            keep_on_interrupt=on_interrupt == "save",
            progress=progress,
        ),
    )
    if progress is not None:
        progress(Progress("check", fitted.steps_done, fitted.steps_done, None, None, 0.0))

    if not deterministic:
        ancillary += (Chunk(spec.PROVENANCE, pack_map(_provenance(signal, asdict(request), seed, fitted.steps_done))),)

    # A little coarser is the largest tensors' steps first, then the next ones'.
    by_size = [p.name for p in sorted(plan.network.params(plan.config), key=lambda p: -p.size) if p.trainable]

    def assemble(coarser: int, extra: tuple[Chunk, ...] = ()) -> bytes:
        every, some = divmod(coarser, len(by_size))
        values = {**fitted.values, **fitted.frozen}
        tensors, payload = pack(plan.network, plan.config, values, fitted.steps, coarser=every, also=by_size[:some])
        tensors += [entry for entry, _ in masks]
        full = {**head, "tens": tensors}
        return dump(Container(full, payload + b"".join(bits for _, bits in masks), ancillary + extra))

    # Metrics come last and are nearly constant in size; the cap holds with them inside.
    coarser = 0
    while True:
        quality_measured = _measure(assemble(coarser), signal, chosen.type)
        content = assemble(coarser, (Chunk(spec.METRICS, _metrics(quality_measured, signal)),))
        if request.size is None or len(content) <= request.size or coarser >= MAX_COARSER * len(by_size):
            break
        coarser += max(1, round(4 * len(by_size) * math.log2(len(content) / request.size)))
    target, met = _target(request, quality_measured.psnr, len(content), bpp)
    parameters = sum(param.size for param in plan.network.params(plan.config) if param.trainable)
    report = Report(
        arch=plan.network.id,
        bytes=len(content),
        bpp=8 * len(content) / samples,
        psnr=quality_measured.psnr,
        ssim=quality_measured.ssim,
        max_error=quality_measured.max_error,
        parameters=parameters,
        steps=fitted.steps_done,
        encode_seconds=time.monotonic() - begin,
        decode_seconds=quality_measured.seconds,
        target=target,
        target_met=met,
        interrupted=fitted.interrupted,
        notes=signal.notes,
    )
    return Encoded(content, report)


def verify(inr: Inr, *, source: Source | None = None, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Decode and compare with the source's digest and with the PSNR the file says it has.

    Without a source only what the file itself says is checked: parameters unpack, the nominal grid decodes to finite values.
    Raises VerificationFailed, and whatever a damaged file raises.
    """
    values = inr.decode(dtype=np.float32)
    checks: dict[str, Any] = {"decoded_shape": list(values.shape), "parameters_sha256": params_digest(inr)}
    if np.isinf(values).any() or (inr.missing is None and np.isnan(values).any()):
        raise VerificationFailed("decode: expected finite values, got NaN or infinity")
    stated = {m["metric"]: m["value"] for m in inr.info["metrics"]}
    if source is None:
        checks["stated"] = stated
        return checks
    signal = source if isinstance(source, Signal) else read_signal(source, kind=inr.head["kind"], limits=limits)
    expected = (*(axis.n for axis in signal.axes), len(signal.channels))
    if values.shape != expected:
        raise VerificationFailed(f"shape: the source is {expected}, the file decodes to {values.shape}")
    if not np.array_equal(_mask_of(inr.missing, inr), _mask_of(signal.missing, inr)):
        raise VerificationFailed("missing samples: those of the file are not those of the source")
    found = measure(inr, signal)
    checks |= {"psnr": found.psnr, "ssim": found.ssim, "max_error": found.max_error, "stated": stated}
    if "psnr" not in stated:
        return checks
    if (math.isfinite(found.psnr) and abs(found.psnr - stated["psnr"]) > 0.02) or (found.psnr < stated["psnr"] - 0.02):
        raise VerificationFailed(f"psnr: the file states {stated['psnr']:.3f} dB, against the source it is {found.psnr:.3f} dB")
    return checks


def params_digest(inr: Inr) -> str:
    """SHA-256 over names, shapes and little-endian float32 values of all parameters: the same on every machine."""
    digest = hashlib.sha256()
    for name, value in inr.params.items():
        digest.update(f"{name}{list(value.shape)}".encode())
        digest.update(np.ascontiguousarray(value, dtype="<f4").tobytes())
    return digest.hexdigest()


def _head(signal: Signal, network: Any, config: Any, scale: float, offset: NDArray[np.float64]) -> dict[str, Any]:
    channels = []
    for c, o in zip(signal.channels, offset, strict=True):
        channel: dict[str, Any] = {"name": c.name, "role": c.role, "scale": scale, "offset": float(o)}
        if signal.dtype is not None:
            channel |= {"low": float(c.low), "high": float(c.high)}
        channels.append(channel)
    out: dict[str, Any] = {"channels": channels, "bits": signal.bits}
    if signal.dtype is not None:
        out["dtype"] = signal.dtype
    if signal.missing is not None:
        out["valid"] = True
    head: dict[str, Any] = {
        "kind": signal.kind,
        "level": 1,
        "req": [],
        "axes": [_axis(a) for a in signal.axes],
        "out": out,
        "net": network_list(network, config),
    }
    if signal.space is not None:
        space = signal.space
        head["space"] = {"spacing": list(space.spacing)}
        head["space"] |= {} if space.affine is None else {"affine": list(space.affine)}
        head["space"] |= {} if not space.units else {"units": space.units}
    if signal.kind == "image":
        head["color"] = {"icc": True} if signal.metadata.icc is not None else {}
    return head


def _axis(axis: Axis) -> dict[str, Any]:
    described: dict[str, Any] = {"name": axis.name, "n": axis.n}
    return described if (axis.lo, axis.hi) == (-1.0, 1.0) else {**described, "lo": axis.lo, "hi": axis.hi}


def _bytes_beside_payloads(plan: Any, head: dict[str, Any], masks: list[tuple[list[Any], bytes]], ancillary: tuple[Chunk, ...]) -> int:
    """About what a file takes beside the payloads of its parameters, without provenance."""
    tensors = [[spec.RANS, 1 << 8] for _ in plan.network.params(plan.config)]
    tensors += [entry for entry, _ in masks]
    metrics = Chunk(spec.METRICS, pack_map({"metrics": [{"metric": "psnr", "value": 0.1, "unit": "dB", "peak": 0.1}] * 2}))
    return len(dump(Container({**head, "tens": tensors}, b"".join(bits for _, bits in masks), (*ancillary, metrics))))


def _metadata_chunks(signal: Signal) -> tuple[Chunk, ...]:
    metadata = signal.metadata
    chunks = []
    if metadata.icc is not None:
        chunks.append(Chunk(spec.ICC, compress(metadata.icc)))
    if metadata.exif is not None:
        chunks.append(Chunk(spec.EXIF, metadata.exif))
    if metadata.xmp is not None:
        chunks.append(Chunk(spec.XMP, metadata.xmp))
    return tuple(chunks)


def _mask_of(missing: NDArray[np.bool_] | None, inr: Inr) -> NDArray[np.bool_]:
    return np.zeros(inr.grid_shape, dtype=np.bool_) if missing is None else missing


def _provenance(signal: Signal, request: dict[str, Any], seed: int, steps: int) -> dict[str, Any]:
    """Who wrote the file and how; the same for the same input, options and version (no clock, no file name)."""
    options = {key: value for key, value in request.items() if value not in (None, {}) and key not in ("shape", "channels", "kind")}
    return {
        "writer": f"inrcodec {VERSION}",
        "source_sha256": bytes.fromhex(signal.digest),
        "options": options,
        "seed": seed,
        "steps": steps,
    }


def _fit_key(signal: Signal, request: dict[str, Any], seed: int) -> str:
    """What a checkpoint belongs to: the samples, the options, the version."""
    digest = hashlib.sha256(json.dumps([request, seed, VERSION], sort_keys=True).encode())
    digest.update(np.ascontiguousarray(signal.values).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Measured:
    """A decoded file against its source; `seconds` of the decode."""

    psnr: float
    ssim: float | None
    max_error: float | None
    seconds: float


def _measure(content: bytes, signal: Signal, device: str) -> Measured:
    limits = replace(DEFAULT_LIMITS, output_samples=1 << 40, work=1 << 80)
    return measure(open_inr(content, backend="torch", device=device, limits=limits), signal)


def measure(inr: Inr, signal: Signal) -> Measured:
    """Decode as a user would and compare with the source."""
    begin = time.monotonic()
    decoded = inr.decode()
    seconds = time.monotonic() - begin
    values, weights = signal.values, signal.weights
    if signal.dtype is None:
        found = decoded.astype(np.float32) / np.float32(2**signal.bits - 1)
        structure = float(measure_ssim(values, found)) if signal.kind == "image" else None
        return Measured(measure_psnr(values, found, weights=weights), structure, None, seconds)
    low = np.array([c.low for c in signal.channels])
    span = np.array([c.high for c in signal.channels]) - low
    # What the source lacks has weight 0; what only the file lacks counts as wrong as can be.
    found = np.nan_to_num((decoded.astype(np.float64) - low) / span, nan=-1.0)
    error = np.abs(found - values) * span
    largest = float((error if weights is None else error * weights).max())
    structure = _volume_ssim(values, found, signal.missing) if signal.kind == "volume" else None
    return Measured(measure_psnr(values, found, weights=weights), structure, largest, seconds)


def _volume_ssim(a: NDArray[Any], b: NDArray[Any], missing: NDArray[np.bool_] | None) -> float | None:
    """Of volumes (z, y, x, c), or the mean over t of (t, z, y, x, c); None where no window is without a missing sample."""
    if a.ndim == 4:
        a, b, missing = a[None], b[None], None if missing is None else missing[None]
    masks = [None] * len(a) if missing is None else list(missing)
    found = [measure_ssim(x, y, axes=3, missing=mask) for x, y, mask in zip(a, b, masks, strict=True)]
    kept = [value for value in found if not math.isnan(value)]
    return sum(kept) / len(kept) if kept else None


def _metrics(measured: Measured, signal: Signal) -> bytes:
    # An exact decode has no finite PSNR; it is stated as what one code off in every sample would be at most.
    peak = max(c.high - c.low for c in signal.channels)
    rows: list[dict[str, Any]] = [{"metric": "psnr", "value": min(measured.psnr, 999.0), "unit": "dB", "peak": peak}]
    if measured.ssim is not None:
        rows.append({"metric": "ssim", "value": measured.ssim})
    if measured.max_error is not None:
        rows.append({"metric": "max_error", "value": measured.max_error})
    return pack_map({"metrics": rows})


def _target(request: Any, found: float, nbytes: int, bpp: float | None) -> tuple[str | None, bool]:
    if request.psnr is not None:
        return f"psnr >= {request.psnr:g} dB", found >= request.psnr
    if request.size is not None:
        text = f"size <= {request.size} bytes" if bpp is None else f"bpp <= {bpp:g}"
        return text, nbytes <= request.size
    return None, True
