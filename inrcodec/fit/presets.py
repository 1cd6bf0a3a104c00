"""From a signal and the user's wishes to a plan: network, sizes, schedule. Nothing here is fixed by the format."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from inrcodec.errors import UsageError
from inrcodec.fit.comparison_presets import axis_comparison, comparison_config, msa_top, trainable
from inrcodec.fit.plan import Plan, Schedule, Target
from inrcodec.fit.request import (
    EFFORT_STEPS,
    GRID_SETTINGS,
    Request,
    check_grid_settings,
    check_names,
    check_request,
    chosen_lam,
    override,
    setting,
)
from inrcodec.fit.sound import HOP, LAM_OVER_VARIANCE, axis_config, windows_along
from inrcodec.fit.spectrum import USUAL_BYTES
from inrcodec.networks import NETWORKS
from inrcodec.networks.hashgrid import Level, geometric_levels
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.sasnet import SasnetConfig, half_lattice
from inrcodec.networks.sasnet_ablation import SasnetAblationConfig
from inrcodec.networks.siren import SirenConfig
from inrcodec.networks.stacked import stacked
from inrcodec.windows import Windows

BATCH = 1 << 14  # samples of a step
FULL_RATE_SAMPLES = 1 << 14
DEFAULT_QUALITY = 75.0
USUAL_LAM = 2e-4  # at the default quality
SMALL_IMAGE_LAM = 3e-5  # where enlarged, errors of the samples add to those of what lies between them
BOUNDED_QUALITY = 40.0  # of the function beside a residual, which says the rest at less cost (measured)
CONTEXTS_FROM = 1 << 14  # samples of an image
SMALL_IMAGE = 1 << 17  # samples at most: it will be looked at enlarged, and can have a function that is smoother and dearer to fit
SASNETS = ("sasnet.1", "sasnet.2")
SINES = ("siren.1", "msa.1")
STRETCHES = 64  # per 1, so that they are exact
WINDOW_SETTINGS = ("window", "overlap")  # nominal samples; no windows where the first is 0


def usual_arch(kind: str, preset: str) -> str:
    """The network of a kind of signal where none is asked for."""
    return "sasnet.2" if kind == "image" and preset != "paper" else "sasnet.1"


def lam_of_quality(quality: float, usual: float = USUAL_LAM) -> float:
    """Weight of the rate, mean squared error per bit per sample: `usual` at the default 75, ten times more for 30 less."""
    return usual * float(10 ** ((DEFAULT_QUALITY - quality) / 30))


def make_plan(request: Request) -> Plan:
    """The plan of a request for samples on a lattice.

    Raises UsageError for values out of range and unknown names, listing the known ones.
    """
    check_request(request)
    samples = math.prod(request.shape)
    windows = _windows(request)
    schedule = _schedule(request, samples if windows is None else windows.length)
    config = _config(
        request if request.part is None else replace(request, size=request.part.size), samples if windows is None else windows.length
    )
    quality = DEFAULT_QUALITY if request.quality is None else request.quality
    # Below this many samples the file is mostly the network itself, which a rate per sample would starve.
    lam = lam_of_quality(quality, SMALL_IMAGE_LAM if _small_picture(request) else USUAL_LAM)
    if request.spectrum is not None:
        # Silence is worth no bits at all.
        variance = request.spectrum.variance
        lam = lam * LAM_OVER_VARIANCE * variance / USUAL_LAM if variance > 0 else 1.0
    if request.psnr is None and request.size is None and request.spectrum is None:
        lam *= min(1.0, samples / FULL_RATE_SAMPLES)
    if request.preset == "paper" and request.quality is None:
        lam = 0.0
    check_names(request, schedule, config, extra=WINDOW_SETTINGS if _along(request) else ())
    lam = chosen_lam(request, lam)
    network = NETWORKS[request.arch]
    return Plan(
        network=network if windows is None else stacked(network, windows.count),
        windows=windows,
        config=config,
        schedule=schedule,
        target=Target(lam=lam, psnr=request.psnr, size=request.size, metric=request.metric),
    )


def _along(request: Request) -> bool:
    """Whether the defaults are those of one axis."""
    return len(request.shape) == 1 and request.preset != "paper"


def _schedule(request: Request, samples: int) -> Schedule:
    d = len(request.shape)
    stride = max(1, round((samples / BATCH) ** (1 / d)))
    steps = EFFORT_STEPS[request.effort]
    if samples < 1024:
        steps = min(steps, 600)
    if request.preset == "paper":
        # Supplement section 3.2: Adam, fixed rates, every sample in every step, 5,000 epochs.
        schedule = Schedule(steps=5000, stride=1, learning_rate=1e-4, table_learning_rate=5e-4, warmup=1, final_rate=1.0)
    elif request.arch in SASNETS and d > 2 and request.kind != "video":
        # Small networks: the rate comes early, and most of the run is for what is left (measured). Longer runs ask for smaller steps.
        slower = min(1.0, (EFFORT_STEPS[5] / steps) ** 0.5)
        schedule = Schedule(
            steps=steps,
            stride=stride,
            learning_rate=4e-3 * slower,
            table_learning_rate=2e-2 * slower,
            rate_from=0.12,
            embedding="spectrum",
        )
    elif _along(request):
        masked = request.arch in SASNETS
        schedule = Schedule(
            steps=EFFORT_STEPS[request.effort],
            stride=2 if samples > 512 else 1,
            learning_rate=3e-2 if masked else 3e-3,
            table_learning_rate=2e-2,
            scale_learning_rate=3e-2,
            constant_is_divergence=False,  # noise is hardly better in the beginning
            matrix_step=0.2 if masked else 0.01,
        )
    elif request.arch in SASNETS:
        # A context network is worth its bytes where there are many entries; it learns with the rate, which is then asked for more often.
        contexts = request.kind == "image" and samples >= CONTEXTS_FROM
        small = _small_picture(request)
        schedule = Schedule(
            steps=steps,
            stride=stride,
            learning_rate=6e-3,
            table_learning_rate=2e-2,
            scale_learning_rate=5e-2 if contexts else 1e-2,
            rate_every=2 if contexts else 4,
            context_features=16 if contexts else 0,
            size_margin=0.97 if contexts else 0.95,
            rounded_push=-0.3 if contexts else 0.4,
            between=0.5 if small else 0.0,
        )
    else:
        # Networks with rectifiers are slow in the beginning.
        sines = request.arch in SINES
        schedule = Schedule(steps=steps, stride=stride, learning_rate=2e-3, table_learning_rate=2e-2, constant_is_divergence=sines)
    changed: Schedule = override(schedule, request.settings)
    return changed


def _windows(request: Request) -> Windows | None:
    if not _along(request):
        return None
    overlap = setting(request, "overlap", 2) if "overlap" in request.settings else None
    try:
        return windows_along(request.shape[0], hop=setting(request, "window", HOP), overlap=overlap)
    except ValueError as error:
        raise UsageError(f"--set overlap: {error}") from error


def _config(request: Request, samples: int) -> Any:
    d, c = len(request.shape), request.channels
    width = _width(request.arch, samples)
    if _along(request):
        bandwidth = 1.0 if request.spectrum is None else request.spectrum.bandwidth
        if request.arch not in (*SINES, *SASNETS):
            return override(axis_comparison(request.arch, samples, c), request.settings)
        return override(axis_config(request.arch, samples, c, bandwidth), request.settings)
    siren = SirenConfig(d, c, 2 * width, 3, 30.0, 30.0)
    if request.arch == "siren.1":
        return override(siren, request.settings)
    if request.arch == "msa.1":
        return override(MsaConfig(d, c, 2 * width, 3, 0.0, msa_top(request.shape)), request.settings)
    if request.arch not in SASNETS:
        return compared(request, trainable("siren.1", siren))
    if request.preset == "paper":
        config = paper_config(d, c)
    else:
        config = _sasnet_config(request, samples, width)
    return override(config, request.settings)


def compared(request: Request, parameters: int) -> Any:
    """A network for comparison, of as many parameters; with settings of the grid, its levels are those."""
    layers = setting(request, "hidden_layers", 3)
    config = comparison_config(request.arch, shape=request.shape, channels=request.channels, parameters=parameters, layers=layers)
    if hasattr(config, "levels") and any(name in request.settings for name in GRID_SETTINGS):
        usual = [level.resolution for level in config.levels]
        coarsest, finest = (setting(request, name, side) for name, side in (("coarsest", usual[0]), ("finest", usual[-1])))
        count, entries = setting(request, "levels", len(usual)), setting(request, "max_entries", max(lv.entries for lv in config.levels))
        check_grid_settings(coarsest, finest, count, entries)
        levels = geometric_levels(d=config.in_features, levels=count, coarsest=coarsest, finest=finest, max_entries=entries)
        config = replace(config, levels=levels)
    if "masked" in request.settings and isinstance(config, SasnetAblationConfig):
        # A digit per layer; zeros in front may have been lost on the way.
        digits = str(request.settings["masked"]).zfill(len(config.masked))
        try:
            config = replace(config, masked=tuple(int(digit) for digit in digits))
        except ValueError as error:
            raise UsageError(f"--set masked: {error}") from error
    return override(config, request.settings)


def _small_picture(request: Request) -> bool:
    """Whether what lies between the samples counts as much as they do. Beside a residual, or in a part, they are all that counts."""
    wanted = request.kind == "image" and request.arch == "sasnet.2" and not request.bounded and request.part is None
    return wanted and math.prod(request.shape) <= SMALL_IMAGE


def _width(arch: str, samples: int) -> int:
    """Neurons of a layer. sasnet.2 draws from its tables, and layers are dear in a small file (measured at 128x128 to 512x512)."""
    if arch == "sasnet.2":
        return 32 if samples <= 1 << 16 else 64
    return 32 if samples <= 4096 else 64 if samples <= 1 << 16 else 96


def paper_config(d: int, c: int) -> SasnetConfig:
    """SASNet's sizes for images (d = 2) and volumes (d = 3), supplement table 1; the image's grid resolutions are not published."""
    if d == 3:
        levels = geometric_levels(d=3, levels=12, coarsest=16, finest=256, max_entries=1 << 11)
        return SasnetConfig(3, c, 256, 192, 2, 30.0, 2.1, 6, 30, 4, 8, 48, 2, levels, (1.0,) * d)
    levels = geometric_levels(d=2, levels=10, coarsest=6, finest=128, max_entries=1 << 10)
    return SasnetConfig(d, c, 256, 232, 2, 43.0, 2.1, 12, 60, 4, 8, 48, 2, levels, (1.0,) * d)


def _sasnet_config(request: Request, samples: int, width: int) -> SasnetConfig:
    d = len(request.shape)
    if d > 2 and request.kind != "video":
        return _small_sasnet_config(request, samples)
    longest = max(request.shape)
    # One vertex per sample on the finest level: the rate decides which of them survive.
    finest = max(2, round(samples ** (1 / d)) - 1, longest // 2 - 1 if d < 3 else longest - 1)
    # Along one axis interpolation is one matrix of all samples by all vertices.
    finest = setting(request, "finest", min(finest, 512) if d == 1 else finest)
    coarsest = setting(request, "coarsest", min(8, finest))
    count = setting(request, "levels", max(1, 1 + round(math.log2(max(1, finest / max(1, coarsest))))))
    entries = setting(request, "max_entries", max(4096, samples + samples // 2))
    check_grid_settings(coarsest, finest, count, entries)
    small = _small_picture(request)
    taps = setting(request, "taps", 4 if small else 2)
    if taps not in (2, 4):
        raise UsageError(f"--set taps: expected 2 or 4, got {taps}")
    levels = geometric_levels(d=d, levels=count, coarsest=coarsest, finest=finest, max_entries=entries, taps=taps)
    # Cosines faster than the samples cannot be told apart; half of Nyquist is enough, the masks make the rest.
    band = int(np.clip(longest // 4, 2, 60))
    features = 2 if small else 1
    return masked_sines(request, levels, width=width, frequencies=width, band=band, low=band // 5, mask_features=48, grid_features=features)


def _small_sasnet_config(request: Request, samples: int) -> SasnetConfig:
    """For volumes: smooth fields are worth far fewer bytes than their samples, so the network is small and its tables are hashed.

    With a target of bytes everything grows with it.
    """
    d, longest = len(request.shape), max(request.shape)
    usual = USUAL_BYTES / 3 if samples <= 1 << 15 else USUAL_BYTES
    growth = ((request.size or usual) / USUAL_BYTES) ** 0.75
    width = 8 * max(2, round(6 * growth**0.5))
    detail = request.detail or (longest * 3 / 8,) * d
    finest = setting(request, "finest", max(2, round(max(detail))))
    # Along an axis of little detail the levels have fewer vertices: their cells are as long as what they are to hold.
    stretch = tuple(max(1.0, round(STRETCHES * extent / max(detail))) / STRETCHES for extent in detail)
    coarsest = setting(request, "coarsest", min(6, finest))
    most = math.log2(max(1, samples)) - (9 if request.size is None else 4)
    entries = setting(request, "max_entries", 1 << int(np.clip(round(12 + math.log2(growth)), 8, max(8, most))))
    levels = geometric_levels(d=d, levels=setting(request, "levels", 6), coarsest=coarsest, finest=finest, max_entries=entries)
    band = int(np.clip(longest // 4, 2, 32))
    frequencies = 8 * max(2, round(8 * growth**0.5))
    return masked_sines(
        request,
        levels,
        width=width,
        frequencies=frequencies,
        band=band,
        low=min(4, band // 4),
        mask_features=24,
        grid_features=2,
        stretch=stretch,
    )


def masked_sines(
    request: Request,
    levels: tuple[Level, ...],
    *,
    width: int,
    frequencies: int,
    band: int,
    low: int,
    mask_features: int,
    grid_features: int,
    period: float = 2.1,
    stretch: tuple[float, ...] | None = None,
) -> SasnetConfig:
    """What the defaults have in common; at most as many frequencies as |k| <= band has."""
    d = len(request.shape)
    low = max(1, low)
    return SasnetConfig(
        in_features=d,
        out_features=request.channels,
        frequencies=min(len(half_lattice(band, d, 1)), frequencies),
        hidden_features=width,
        hidden_layers=2,
        omega_0=30.0,
        period=period,
        low=low,
        band=band,
        bands=min(4, band - low),
        groups=8,
        mask_features=mask_features,
        grid_features=grid_features,
        levels=levels,
        stretch=stretch or (1.0,) * d,
    )
