"""What a user asks of a fit, and whether it can be asked: options and the settings of --set."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from inrcodec.errors import UsageError
from inrcodec.fit.plan import METRICS
from inrcodec.fit.sound import Spectrum
from inrcodec.networks import NETWORKS

PRESETS = ("default", "paper")
EFFORT_STEPS = {1: 150, 2: 300, 3: 600, 4: 1000, 5: 1600, 6: 2600, 7: 5000, 8: 10000, 9: 25000}
GRID_SETTINGS = ("levels", "coarsest", "finest", "max_entries", "taps")
Setting = int | float | str


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the network of a signal that is a part of a larger one is chosen for, so that all parts have one network."""

    shape: tuple[int, ...]  # samples per axis
    detail: tuple[float, ...] | None = None  # as in Request
    size: int | None = None  # bytes


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for; None means: choose for me."""

    shape: tuple[int, ...]  # nominal samples per axis, or those of `part`
    channels: int
    kind: str = "image"  # one of spec.KINDS
    quality: float | None = None
    psnr: float | None = None
    size: int | None = None  # bytes
    metric: str = "psnr"  # or "ssim", for images and volumes
    bounded: bool = False  # a residual says what the function leaves
    effort: int = 5
    preset: str = "default"
    arch: str = "sasnet.1"
    spectrum: Spectrum | None = None  # of sound
    detail: tuple[float, ...] | None = None  # of a volume: vertices per axis that its finest grid is worth
    part: Part | None = None
    settings: Mapping[str, Setting]


def check_names(request: Request, *parts: Any, extra: tuple[str, ...] = ()) -> None:
    """Raise UsageError for a setting that is no field of any of `parts`, none of the grid's and none of `extra`."""
    names = {f.name for part in parts for f in fields(part)} | {*GRID_SETTINGS, "lam", *extra}
    unknown = sorted(set(request.settings) - names)
    if unknown:
        raise UsageError(f"--set {unknown[0]}: unknown setting; known: {', '.join(sorted(names))}")


def chosen_lam(request: Request, lam: float) -> float:
    """The weight of the rate that the settings say, or `lam`."""
    if "lam" not in request.settings:
        return lam
    try:
        lam = float(request.settings["lam"])
    except ValueError as error:
        raise UsageError(f"--set lam: expected float, got {request.settings['lam']!r}") from error
    if not (math.isfinite(lam) and lam >= 0):
        raise UsageError(f"--set lam: expected a number of at least 0, got {lam}")
    return lam


def setting(request: Request, name: str, default: int) -> int:
    """An integer setting that is no field of the configuration."""
    value = request.settings.get(name, default)
    try:
        return int(value)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--set {name}: expected int, got {value!r}") from error


def check_request(request: Request) -> None:
    if request.effort not in EFFORT_STEPS:
        raise UsageError(f"effort: expected 1..9, got {request.effort}")
    if request.preset not in PRESETS:
        raise UsageError(f"preset: expected one of {', '.join(PRESETS)}, got {request.preset}")
    if request.arch not in NETWORKS:
        raise UsageError(f"arch: expected one of {', '.join(NETWORKS)}, got {request.arch}")
    if request.quality is not None and not 0 <= request.quality <= 100:
        raise UsageError(f"quality: expected 0..100, got {request.quality}")
    if request.psnr is not None and not 5 <= request.psnr <= 80:
        raise UsageError(f"psnr: expected 5..80 dB, got {request.psnr}")
    if request.size is not None and request.size < 64:
        raise UsageError(f"size: expected at least 64 bytes, got {request.size}")
    if request.metric not in METRICS:
        raise UsageError(f"metric: expected one of {', '.join(METRICS)}, got {request.metric}")
    if request.metric == "ssim" and request.kind not in ("image", "volume"):
        raise UsageError(f"metric: ssim is of images and volumes, got {request.kind}")
    if request.metric == "ssim" and request.psnr is not None:
        raise UsageError("target: expected quality, bpp or size with the metric ssim, got psnr")


def check_grid_settings(coarsest: int, finest: int, count: int, entries: int) -> None:
    if not (2 <= coarsest <= finest and 1 <= count <= 64 and entries >= 8):
        raise UsageError(
            f"grid: expected 2 <= coarsest <= finest, levels 1..64, max_entries >= 8, got {coarsest}, {finest}, {count}, {entries}"
        )


def override(target: Any, settings: Mapping[str, Setting]) -> Any:
    """`target` with the settings that are its scalar fields, converted to the fields' types."""
    kinds = {f.name: f.type for f in fields(target)}
    changes: dict[str, Any] = {}
    for key, value in settings.items():
        kind = kinds.get(key)
        if kind not in (int, float, str):
            continue
        try:
            changes[key] = kind(value)
        except ValueError as error:
            raise UsageError(f"--set {key}: expected {kind.__name__}, got {value!r}") from error
    try:
        return replace(target, **changes)
    except ValueError as error:
        raise UsageError(f"--set: {error}") from error
