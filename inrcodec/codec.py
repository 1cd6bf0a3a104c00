"""encode, open, verify: the codec's three doors."""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.assembly import PARTS, bytes_beside_payloads, fit_key, make_file, make_head, metadata_chunks, provenance
from inrcodec.bounded import residual_entry, wanted_residual, with_residual
from inrcodec.container import dump, load
from inrcodec.decoder import Inr
from inrcodec.errors import InrError, UsageError, VerificationFailed
from inrcodec.files import write_atomic
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.opening import open_inr
from inrcodec.progress import Progress, ProgressCallback
from inrcodec.quality import Measured, check_stated, figures_like, measure, metric_rows
from inrcodec.settling import settled
from inrcodec.signals import read_signal
from inrcodec.signals.base import Signal
from inrcodec.signals.shape_signal import ShapeSignal, protocol_of
from inrcodec.spec import CHUNK_BYTES
from inrcodec.structure import check_structure, params_digest
from inrcodec.validity import encode as encode_missing

if TYPE_CHECKING:
    from inrcodec.fit.group import Group
    from inrcodec.fit.request import Part

__all__ = ["Encoded", "Report", "encode", "open_inr", "params_digest", "verify"]

Source = str | os.PathLike[str] | bytes | IO[bytes] | NDArray[Any] | Signal | ShapeSignal
Setting = int | float | str
DETAILED = ("volume", "field")  # kinds whose grids are made for what they hold
CHECKED = 64  # samples per axis of a shape that a check without a source decodes


@dataclass(frozen=True)
class Report:
    """What an encode gave, measured on the file decoded from its bytes at the source's bit depth or type.

    psnr is against the full scale of codes or, of a signal of numbers, against the range of its values; max_error is in their units,
    and at most `bound` where the file keeps to one.
    Of a shape both are of distances in its box; iou, surface_rms and normal_consistency are those of quality.Measured. snr and
    segmental_snr are of sound, in dB.
    """

    arch: str
    bytes: int
    bpp: float
    psnr: float
    ssim: float | None
    max_error: float | None
    bound: float | None
    iou: float | None
    surface_rms: float | None
    normal_consistency: float | None
    snr: float | None
    segmental_snr: float | None
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
    max_error: float | str | None = None,
    lossless: bool = False,
    metric: str = "psnr",
    effort: int = 5,
    preset: str | None = None,
    arch: str | None = None,
    settings: Mapping[str, Setting] | None = None,
    device: str = "auto",
    precision: str = "float32",
    hash_backend: str = "own",
    protocol: str | None = None,
    sign: str | None = None,
    seed: int = 0,
    time_limit: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    strip: bool = False,
    frames: int | None = None,
    rate: float | None = None,
    on_interrupt: str = "discard",
    deterministic: bool = False,
    start: float | None = None,
    stop: float | None = None,
    part: "Part | None" = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: ProgressCallback | None = None,
    interrupted: Callable[[], bool] | None = None,
    group: "Group | None" = None,
) -> Encoded:
    """Fit a signal (path, bytes, binary file, array or Signal) and return the .inr file.

    At most one of quality (0..100), psnr (dB, at least), bpp (bits per sample, at most), size (bytes, at most). A missed target is told by
    report.target_met; the file is still the best one found. max_error: every sample of the decoded nominal grid is within it of the source,
    in units of the samples (codes of images), or within a part of their range ("0.1%"); lossless: they are the same, of integers. Both
    go with quality alone. metric: what bytes are spent on, "psnr" or "ssim" (images and volumes; not with a target of PSNR). time_limit:
    seconds for the fit. precision: of a fit's matrix products on a CUDA device, "float32", "tf32x3", "tf32"; hash_backend: of its grids
    at points, "own" or "tcnn". frames, rate, start, stop: as for `read_signal`. part: what the network is chosen for where the source is a
    part of a larger signal. interrupted: asked before every step of the fit; True ends it as Ctrl-C does. group: of fits in other threads,
    with which steps are made together where networks and shapes are the same; files may then differ in rounding. Of shapes only: protocol,
    "default" or "finer" (its published sampling and loss), and sign, "winding" or "error" (refuse open meshes); they have no psnr, bpp,
    max_error and lossless. Raises InputError, UsageError, LimitExceeded, BackendMissing, Interrupted.
    """
    from inrcodec.fit.presets import BOUNDED_QUALITY, usual_arch
    from inrcodec.fit.request import Request
    from inrcodec.fit.sound import spectrum

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
    signal = _signal(
        source, kind=kind, limits=limits, strip=strip, frames=frames, rate=rate, start=start, stop=stop, protocol=protocol, sign=sign
    )
    limited = wanted_residual(signal, max_error=max_error, lossless=lossless)
    if limited is not None and any(target is not None for target in (psnr, bpp, size)):
        raise UsageError("target: expected quality beside max_error or lossless, got psnr, bpp or size")
    if limited is not None and quality is None:
        quality = BOUNDED_QUALITY
    settings = dict(settings or {})
    if isinstance(signal, ShapeSignal) and "nominal" in settings:
        signal = signal.with_samples(_whole_number(settings.pop("nominal")))
    shape = tuple(axis.n for axis in signal.axes)
    samples = math.prod(shape)
    if bpp is not None and not (math.isfinite(bpp) and bpp > 0):
        raise UsageError(f"bpp: expected a positive number, got {bpp}")
    if isinstance(signal, ShapeSignal) and (psnr is not None or bpp is not None):
        raise UsageError("target: a shape has none of PSNR or bits per sample; expected quality (--quality) or size (--size)")
    bytes_wanted = size if bpp is None else max(64, int(bpp * samples / 8))
    request = Request(
        shape=shape if part is None else part.shape,
        channels=len(signal.channels),
        kind=signal.kind,
        quality=quality,
        psnr=psnr,
        size=bytes_wanted,
        metric=metric,
        bounded=limited is not None,
        effort=effort,
        preset=preset or "default",
        arch=arch or usual_arch(signal.kind, preset or "default"),
        detail=part.detail if part is not None else _detail(signal, bytes_wanted),
        part=part,
        spectrum=spectrum(signal.values) if isinstance(signal, Signal) and signal.kind == "audio" else None,
        settings=settings,
    )

    from inrcodec.backends.torch import threads_of, torch_device
    from inrcodec.fit.sources import data_of, initial_of, plan_of
    from inrcodec.fit.stepping import layers_for
    from inrcodec.fit.trainer import RunOptions, fit
    from inrcodec.memory import keep_freed_memory

    plan = plan_of(signal, request)
    chosen = torch_device(device)
    layers_for(chosen, plan, precision, hash_backend)  # or say now why not
    keep_freed_memory()
    data, offset = data_of(signal, plan, seed=seed, device=chosen, parts=threads_of(chosen))
    head = make_head(signal, plan, data.scale, offset)
    behind = [encode_missing(signal.missing)] if isinstance(signal, Signal) and signal.missing is not None else []
    ancillary = metadata_chunks(signal)
    if not deterministic:
        options = asdict(request) | {"max_error": None if limited is None else limited.bound}
        ancillary += (provenance(signal, options, seed),)
    fitted = fit(
        data,
        plan,
        RunOptions(
            seed=seed,
            device=chosen,
            precision=precision,
            hash_backend=hash_backend,
            time_limit=time_limit,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            checkpoint_key=fit_key(signal, asdict(request), seed),
            initial=initial_of(signal, plan),
            other_bytes=bytes_beside_payloads(plan, head, behind, (*ancillary, metric_rows(figures_like(signal), signal))),
            resume=resume,
            keep_on_interrupt=on_interrupt == "save",
            progress=progress,
            stop=interrupted,
            group=group,
        ),
    )
    if progress is not None:
        progress(Progress("check", fitted.steps_done, fitted.steps_done, None, None, 0.0))

    if limited is not None and isinstance(signal, Signal):
        function = make_file(head, plan, fitted, behind, (), 0, ())
        behind = [residual_entry(function, signal, limited, seed=seed), *behind]
        head = with_residual(head, limited)
    # Steps of the largest tensors are changed first.
    by_size = [p.name for p in sorted(plan.network.params(plan.config), key=lambda p: -p.size) if p.trainable]

    def packed(coarser: int) -> bytes:
        return make_file(head, plan, fitted, behind, by_size, coarser, ancillary)

    def finished(bare: bytes) -> tuple[bytes, Measured]:
        found = _measure(bare, signal, chosen.type)
        whole = load(bare)
        return dump(replace(whole, ancillary=(*whole.ancillary, metric_rows(found, signal)))), found

    beside = len(metric_rows(figures_like(signal), signal).payload) + CHUNK_BYTES
    content, found = settled(packed, finished, beside=beside, octave=8 * PARTS * len(by_size), size=request.size, psnr=request.psnr)
    if limited is not None and not (found.max_error is not None and found.max_error <= limited.bound):
        raise InrError(
            f"residual: expected samples within {limited.bound:g} of the source, got one {found.max_error} off; nothing was written"
        )
    target, met = _target(request, found.psnr, len(content), bpp)
    parameters = sum(param.size for param in plan.network.params(plan.config) if param.trainable)
    report = Report(
        arch=plan.network.id,
        bytes=len(content),
        bpp=8 * len(content) / samples,
        psnr=found.psnr,
        ssim=found.ssim,
        max_error=found.max_error,
        bound=None if limited is None else limited.bound,
        iou=found.iou,
        surface_rms=found.surface_rms,
        normal_consistency=found.normal_consistency,
        snr=found.snr,
        segmental_snr=found.segmental_snr,
        parameters=parameters,
        steps=fitted.steps_done,
        encode_seconds=time.monotonic() - begin,
        decode_seconds=found.seconds,
        target=target,
        target_met=met,
        interrupted=fitted.interrupted,
        notes=signal.notes,
    )
    return Encoded(content, report)


def verify(
    inr: Inr,
    *,
    source: Source | None = None,
    decode: bool = True,
    start: float | None = None,
    stop: float | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Any]:
    """Unpack all that the file holds (structure.py), decode it, and compare with a source and with the PSNR the file says it has.

    Without a source only what the file itself says is checked; without `decode` nothing is evaluated, else the nominal grid, which must
    be of finite values. start, stop: seconds of the source that were encoded.
    Raises VerificationFailed, and whatever a damaged file raises.
    """
    checks = check_structure(inr)
    if not decode and source is None:
        return checks
    values = _decoded(inr)
    checks = {"decoded_shape": list(values.shape), **checks}
    if np.isinf(values).any() or (inr.missing is None and np.isnan(values).any()):
        raise VerificationFailed("decode: expected finite values, got NaN or infinity")
    stated = {m["metric"]: m["value"] for m in inr.info["metrics"]}
    if source is None:
        checks["stated"] = stated
        return checks
    protocol = protocol_of(inr.bounds) if inr.head["kind"] == "shape" else None
    signal = _signal(source, kind=inr.head["kind"], limits=limits, start=start, stop=stop, protocol=protocol)
    if isinstance(signal, ShapeSignal):
        signal = signal.with_samples(inr.grid_shape[0])
        ours, theirs = (None if space is None else space.affine for space in (signal.space, inr.space))
        if ours is None or theirs is None or not np.allclose(ours, theirs, rtol=1e-6, atol=1e-9):
            raise VerificationFailed("space: the source lies elsewhere, or is of another size, than the file says")
    expected = (*(axis.n for axis in signal.axes), len(signal.channels))
    if inr.shape != expected:
        raise VerificationFailed(f"shape: the source is {expected}, the file decodes to {inr.shape}")
    if not _same_mask(inr.missing, None if isinstance(signal, ShapeSignal) else signal.missing):
        raise VerificationFailed("missing samples: those of the file are not those of the source")
    found = measure(inr, signal)
    if inr.residual is not None and not (found.max_error is not None and found.max_error <= inr.residual.bound):
        raise VerificationFailed(f"bound: the file keeps to {inr.residual.bound:g}, against the source a sample is {found.max_error} off")
    told = {key: value for key, value in asdict(found).items() if key != "seconds" and (value is not None or key in ("ssim", "max_error"))}
    check_stated(stated, found)
    return checks | told | ({} if inr.residual is None else {"bound": inr.residual.bound}) | {"stated": stated}


def _same_mask(a: NDArray[np.bool_] | None, b: NDArray[np.bool_] | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)


def _decoded(inr: Inr) -> NDArray[Any]:
    """The nominal grid; of a shape, whose grid is large and arbitrary, samples of it."""
    if inr.head["kind"] != "shape":
        return inr.decode(dtype=np.float32)
    return inr.on(*(np.linspace(lo, hi, min(n, CHECKED)) for (lo, hi), n in zip(inr.bounds, inr.grid_shape, strict=True)))


def _signal(
    source: Source,
    *,
    kind: str | None,
    limits: Limits,
    strip: bool = False,
    frames: int | None = None,
    rate: float | None = None,
    start: float | None = None,
    stop: float | None = None,
    protocol: str | None = None,
    sign: str | None = None,
) -> Signal | ShapeSignal:
    if not isinstance(source, Signal | ShapeSignal):
        return read_signal(
            source, kind=kind, limits=limits, strip=strip, frames=frames, rate=rate, start=start, stop=stop, protocol=protocol, sign=sign
        )
    if start is not None or stop is not None:
        raise UsageError("start, stop: expected a file of sound or video, got a Signal")
    if protocol is not None and protocol != getattr(source, "protocol", None):
        raise UsageError(f"protocol: the signal is {getattr(source, 'protocol', 'no shape')}, got {protocol}")
    return source


def _detail(signal: Signal | ShapeSignal, nbytes: int | None) -> tuple[float, ...] | None:
    """Vertices per axis that the finest grid of a signal is worth; None where its samples say it."""
    from inrcodec.fit.spectrum import detail

    if not (isinstance(signal, Signal) and signal.kind in DETAILED):
        return None
    return detail(signal.values, signal.weights, nbytes)


def _whole_number(value: Setting) -> int:
    try:
        return int(value)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--set nominal: expected int, got {value!r}") from error


def _measure(content: bytes, signal: Signal | ShapeSignal, device: str) -> Measured:
    limits = replace(DEFAULT_LIMITS, output_samples=1 << 40, work=1 << 80)
    return measure(open_inr(content, backend="torch", device=device, limits=limits), signal)


def _target(request: Any, found: float, nbytes: int, bpp: float | None) -> tuple[str | None, bool]:
    if request.psnr is not None:
        return f"psnr >= {request.psnr:g} dB", found >= request.psnr
    if request.size is not None:
        text = f"size <= {request.size} bytes" if bpp is None else f"bpp <= {bpp:g}"
        return text, nbytes <= request.size
    return None, True
