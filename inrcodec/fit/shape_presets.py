"""From a shape and the user's wishes to a plan. Nothing here is fixed by the format."""

import math
from dataclasses import replace
from typing import Any

from inrcodec.fit.comparison_presets import trainable
from inrcodec.fit.plan import Plan, Sampling, Schedule, Target
from inrcodec.fit.points import FINER_CYCLE
from inrcodec.fit.presets import DEFAULT_QUALITY, SASNETS, compared, masked_sines
from inrcodec.fit.request import EFFORT_STEPS, Request, check_grid_settings, check_names, check_request, chosen_lam, override, setting
from inrcodec.networks import NETWORKS
from inrcodec.networks.hashgrid import geometric_levels
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.sasnet import SasnetConfig
from inrcodec.networks.siren import SirenConfig

BATCH, POOL = 1 << 14, 1 << 20
FINER_BATCH = 10_000
PAPER_STEPS = 200_000
SOFTNESS = 0.003
SHAPE_DETAIL = 64  # samples per axis that a shape is worth to a network for comparison
RATE_SAMPLES = 1 << 20  # a file's rate is spread over this many, however many points are drawn
LAM = {"default": 1e-7, "finer": 2.5e-8}  # weight of the rate at the default quality; the losses differ in what they count


def shape_plan(request: Request, *, protocol: str, width: float) -> Plan:
    """The plan of a request for a shape whose axes are `width` wide, sampled by `protocol`.

    Raises UsageError as make_plan does.
    """
    check_request(request)
    schedule = _schedule(request)
    sampling = _sampling(request, protocol, schedule.steps)
    config = _config(request, width)
    check_names(request, schedule, sampling, config)
    quality = DEFAULT_QUALITY if request.quality is None else request.quality
    samples = FINER_CYCLE * sampling.batch if protocol == "finer" else sampling.pool
    lam = LAM[protocol] * 10 ** ((DEFAULT_QUALITY - quality) / 30) * samples / RATE_SAMPLES
    if request.preset == "paper" and request.quality is None and request.size is None:
        lam = 0.0
    return Plan(
        network=NETWORKS[request.arch],
        config=config,
        schedule=schedule,
        target=Target(lam=chosen_lam(request, lam), size=request.size),
        sampling=sampling,
    )


def paper_shape_config(width: float) -> SasnetConfig:
    """SASNet's sizes for shapes, supplement table 1: 130,917 trainable parameters. The embedding's period is not published."""
    levels = geometric_levels(d=3, levels=10, coarsest=16, finest=256, max_entries=1 << 10)
    return SasnetConfig(3, 1, 256, 224, 2, 30.0, 1.05 * width, 6, 30, 4, 8, 48, 2, levels, (1.0,) * 3)


def _schedule(request: Request) -> Schedule:
    steps = EFFORT_STEPS[request.effort]
    if request.preset == "paper":
        schedule = Schedule(steps=PAPER_STEPS, stride=1, learning_rate=1e-4, table_learning_rate=5e-4, warmup=1, final_rate=1.0)
    elif request.arch in SASNETS:
        schedule = Schedule(steps=steps, stride=1, learning_rate=6e-3, table_learning_rate=2e-2)
    else:
        schedule = Schedule(steps=steps, stride=1, learning_rate=1e-3, table_learning_rate=2e-2)
    changed: Schedule = override(schedule, request.settings)
    return changed


def _sampling(request: Request, protocol: str, steps: int) -> Sampling:
    batch = setting(request, "batch", FINER_BATCH if protocol == "finer" else BATCH)
    # A short run does not come to see all of a large pool.
    pool = max(batch, min(POOL, batch * math.ceil(steps / 8)))
    changed: Sampling = override(Sampling(batch=batch, pool=pool, softness=SOFTNESS), request.settings)
    return changed


def _config(request: Request, width: float) -> Any:
    if request.arch == "siren.1":
        return override(SirenConfig(3, 1, 128, 3, 30.0, 30.0), request.settings)
    if request.arch == "msa.1":
        return override(MsaConfig(3, 1, 128, 3, 0.0, 1.8), request.settings)
    if request.arch not in SASNETS:
        return compared(replace(request, shape=(SHAPE_DETAIL,) * 3), trainable("siren.1", SirenConfig(3, 1, 128, 3, 30.0, 30.0)))
    if request.preset == "paper":
        return override(paper_shape_config(width), request.settings)
    # The grid is defined on [-1, 1]: on narrower axes it has as many vertices as it covers.
    finest = setting(request, "finest", round(128 * 2 / width))
    coarsest = setting(request, "coarsest", min(8, finest))
    count, entries = setting(request, "levels", 8), setting(request, "max_entries", 1 << 14)
    check_grid_settings(coarsest, finest, count, entries)
    levels = geometric_levels(d=3, levels=count, coarsest=coarsest, finest=finest, max_entries=entries)
    config = masked_sines(request, levels, width=64, frequencies=64, band=16, low=4, mask_features=32, grid_features=2, period=1.05 * width)
    return override(config, request.settings)
