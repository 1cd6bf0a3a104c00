"""A decoded file against its source: what is measured, stored in the file and checked by `verify`."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec import spec
from inrcodec.bounded import largest_error
from inrcodec.chunks import Chunk
from inrcodec.container import pack_map
from inrcodec.decoder import Inr
from inrcodec.errors import VerificationFailed
from inrcodec.metrics import psnr as measure_psnr
from inrcodec.metrics import ssim as measure_ssim
from inrcodec.shape_metrics import iou, point_to_mesh_rms
from inrcodec.signals.base import Content, Signal, exact_samples
from inrcodec.signals.shape_signal import IOU_GRID, PROBES, ShapeSignal
from inrcodec.sound_metrics import segmental_snr, snr
from inrcodec.surface import box_of, zero_surface

MESH_GRID = 128  # of the mesh whose vertices are compared with the source
PSNR_SLACK, SHARE_SLACK = 0.02, 1e-3  # by which engines may differ: dB, and a part of IoU, RMS and normal consistency


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A decoded file against its source; `seconds` of the decode. None: not measured of this kind of signal.

    iou                 of IOU_GRID^3 points of a shape's box, both ends among them, against the source's mesh
    surface_rms         root mean square distance of the decoded surface to the source's mesh, in sides of the box; of a point cloud
                        that of the source's points to the decoded surface, by the decoded distance
    normal_consistency  of a point cloud: mean cosine of its normals and the decoded surface's
    snr, segmental_snr  of sound, in dB
    """

    psnr: float
    ssim: float | None = None
    max_error: float | None = None
    iou: float | None = None
    surface_rms: float | None = None
    normal_consistency: float | None = None
    snr: float | None = None
    segmental_snr: float | None = None
    seconds: float


def measure(inr: Inr, signal: Signal | ShapeSignal) -> Measured:
    """Decode as a user would and compare with the source."""
    if isinstance(signal, ShapeSignal):
        return measure_shape(inr, signal)
    begin = time.monotonic()
    decoded = inr.decode()
    seconds = time.monotonic() - begin
    values: NDArray[np.floating] = signal.values
    weights = signal.weights
    bounded = None if inr.residual is None else largest_error(decoded, signal)
    if signal.dtype is None:
        found = decoded.astype(np.float32) / np.float32(2**signal.bits - 1)
        structure = float(measure_ssim(values, found)) if signal.kind == "image" else None
        return Measured(psnr=measure_psnr(values, found, weights=weights), ssim=structure, max_error=bounded, seconds=seconds)
    low = np.array([c.low for c in signal.channels])
    span = np.array([c.high for c in signal.channels]) - low
    if bounded is not None:
        # Beside samples that are all but the same the rounding of values would show.
        samples = exact_samples(signal)
        values = (np.where(np.isfinite(samples), samples.astype(np.float64), low) - low) / span
    # What the source lacks has weight 0; what only the file lacks counts as wrong as can be.
    found = np.nan_to_num((decoded.astype(np.float64) - low) / span, nan=-1.0)
    error = np.abs(found - values) * span
    largest = float((error if weights is None else error * weights).max()) if bounded is None else bounded
    structure = _volume_ssim(values, found, signal.missing) if signal.kind == "volume" else None
    result = Measured(psnr=measure_psnr(values, found, weights=weights), ssim=structure, max_error=largest, seconds=seconds)
    if signal.kind != "audio":
        return result
    original = low + values * span
    return replace(result, snr=snr(original, decoded), segmental_snr=segmental_snr(original, decoded))


def figures_like(signal: Content) -> Measured:
    """Figures of the kinds that `measure` finds for this signal, before there is a file: to know the bytes they take."""
    if isinstance(signal, ShapeSignal):
        cloud = signal.shape.faces is None
        some = 0.1 if cloud else None
        return Measured(psnr=0.1, max_error=0.1, iou=None if cloud else 0.1, surface_rms=0.1, normal_consistency=some, seconds=0.0)
    structure = 0.1 if signal.kind in ("image", "volume") else None
    noise = 0.1 if signal.kind == "audio" else None
    largest = None if signal.dtype is None else 0.1
    return Measured(psnr=0.1, ssim=structure, max_error=largest, snr=noise, segmental_snr=noise, seconds=0.0)


def _volume_ssim(a: NDArray[Any], b: NDArray[Any], missing: NDArray[np.bool_] | None) -> float | None:
    """Of volumes (z, y, x, c), or the mean over t of (t, z, y, x, c); None where no window is without a missing sample."""
    if a.ndim == 4:
        a, b, missing = a[None], b[None], None if missing is None else missing[None]
    masks = [None] * len(a) if missing is None else list(missing)
    found = [measure_ssim(x, y, axes=3, missing=mask) for x, y, mask in zip(a, b, masks, strict=True)]
    kept = [value for value in found if not math.isnan(value)]
    return sum(kept) / len(kept) if kept else None


def measure_shape(inr: Inr, signal: ShapeSignal) -> Measured:
    """Distances of the file at points of the box against the source's, and its surface against the source's."""
    shape = signal.shape
    points, truth = signal.probes
    difference = inr.at(signal.coordinates(points))[:, 0] * shape.scale - truth
    error = math.sqrt(float((difference**2).mean()))
    distance_psnr = 20 * math.log10(2 * signal.reach / error) if error > 0 else math.inf
    largest = float(np.abs(difference).max()) / shape.scale
    begin = time.monotonic()
    inside = inr.on(*_grid_axes(signal))[..., 0] < 0
    seconds = time.monotonic() - begin
    if shape.faces is None:
        rms, cosine = _at_points(inr, signal)
        return Measured(psnr=distance_psnr, max_error=largest, surface_rms=rms, normal_consistency=cosine, seconds=seconds)
    vertices = zero_surface(box_of(inr.head), inr.at, MESH_GRID)[0]
    rms = point_to_mesh_rms(vertices[:, ::-1], shape.mesh) if len(vertices) else math.inf
    return Measured(psnr=distance_psnr, max_error=largest, iou=iou(inside, signal.inside_grid), surface_rms=rms, seconds=seconds)


def metric_rows(measured: Measured, signal: Content) -> Chunk:
    """The chunk of metrics; only what is a finite number is stated."""
    # An exact decode has no finite PSNR; it is stated as what one code off in every sample would be at most.
    peak = max(c.high - c.low for c in signal.channels)
    rows: list[dict[str, Any]] = [{"metric": "psnr", "value": min(measured.psnr, 999.0), "unit": "dB", "peak": peak}]
    if measured.ssim is not None:
        rows.append({"metric": "ssim", "value": measured.ssim})
    if measured.max_error is not None:
        rows.append({"metric": "max_error", "value": measured.max_error})
    if measured.iou is not None:
        rows.append({"metric": "iou", "value": measured.iou, "grid": IOU_GRID})
    if measured.surface_rms is not None and math.isfinite(measured.surface_rms):
        rows.append({"metric": "surface_rms", "value": measured.surface_rms, "unit": "box sides"})
    if measured.normal_consistency is not None:
        rows.append({"metric": "normal_consistency", "value": measured.normal_consistency})
    for name, value in (("snr", measured.snr), ("segmental_snr", measured.segmental_snr)):
        if value is not None:
            rows.append({"metric": name, "value": min(max(value, -999.0), 999.0), "unit": "dB"})
    return Chunk(spec.METRICS, pack_map({"metrics": rows}))


def check_stated(stated: dict[str, float], found: Measured) -> None:
    """Raise VerificationFailed where the file states better figures than it has against the source."""
    if "psnr" in stated:
        off = abs(found.psnr - stated["psnr"]) if math.isfinite(found.psnr) else 0.0
        if off > PSNR_SLACK:
            raise VerificationFailed(f"psnr: the file states {stated['psnr']:.3f} dB, against the source it is {found.psnr:.3f} dB")
    for name in ("iou", "normal_consistency"):
        value = getattr(found, name)
        if name in stated and (value is None or value < stated[name] - SHARE_SLACK):
            raise VerificationFailed(f"{name}: the file states {stated[name]:.4f}, against the source it is {value}")
    if "surface_rms" in stated and (found.surface_rms is None or found.surface_rms > stated["surface_rms"] * (1 + 10 * SHARE_SLACK) + 1e-7):
        raise VerificationFailed(f"surface_rms: the file states {stated['surface_rms']:.3e}, against the source it is {found.surface_rms}")


def _grid_axes(signal: ShapeSignal) -> list[NDArray[np.float64]]:
    return [np.linspace(axis.lo, axis.hi, IOU_GRID) for axis in signal.axes]


def _at_points(inr: Inr, signal: ShapeSignal) -> tuple[float, float]:
    """RMS of the decoded distance at the points of a cloud in sides of the box, and mean cosine of the normals there."""
    shape = signal.shape
    assert shape.normals is not None
    chosen = np.random.default_rng(0).permutation(len(shape.vertices))[:PROBES]
    coordinates = signal.coordinates(shape.vertices[chosen])
    rms = math.sqrt(float(((inr.at(coordinates)[:, 0] * shape.scale) ** 2).mean()))
    slopes = inr.gradient(coordinates)[:, 0, ::-1].astype(np.float64)
    length = np.linalg.norm(slopes, axis=1)
    cosine = (slopes * shape.normals[chosen]).sum(axis=1) / np.where(length > 0, length, 1.0)
    return rms, float(cosine.mean())
