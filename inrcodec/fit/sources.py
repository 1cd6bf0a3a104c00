"""What differs between kinds of signals in a fit: the plan and the data. Samples lie on a lattice, a shape is known at points."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.fit.data import Data, training_data
from inrcodec.fit.plan import Plan
from inrcodec.fit.points import training_points
from inrcodec.fit.presets import make_plan
from inrcodec.fit.request import Request
from inrcodec.fit.shape_presets import shape_plan
from inrcodec.fit.similarity import similarity_weights
from inrcodec.fit.spectrum import strongest_frequencies
from inrcodec.fit.windowed import windowed_data
from inrcodec.networks.sasnet import SasnetConfig
from inrcodec.signals.base import Signal
from inrcodec.signals.shape_signal import ShapeSignal

MOST_SMOOTHED = 1 << 22  # samples of a signal that is held a second time, finer


def plan_of(signal: Signal | ShapeSignal, request: Request) -> Plan:
    """The plan of a request for this signal. Raises UsageError."""
    if isinstance(signal, ShapeSignal):
        return shape_plan(request, protocol=signal.protocol, width=signal.axes[0].hi - signal.axes[0].lo)
    return make_plan(request)


def initial_of(signal: Signal | ShapeSignal, plan: Plan) -> dict[str, NDArray[np.float32]]:
    """Parameters that are chosen by what the signal holds."""
    if isinstance(signal, ShapeSignal) or not isinstance(plan.config, SasnetConfig) or plan.schedule.embedding != "spectrum":
        return {}
    return {"frequency": strongest_frequencies(signal.values, signal.weights, plan.config).astype(np.float32)}


def data_of(
    signal: Signal | ShapeSignal, plan: Plan, *, seed: int, device: torch.device, parts: int
) -> tuple[Data, Sequence[float] | NDArray[np.float64]]:
    """The data to fit, a batch in `parts` at most, and per channel the offset: value = data.scale * output + offset."""
    if isinstance(signal, ShapeSignal):
        assert plan.sampling is not None
        return training_points(signal, plan.sampling, seed=seed, device=device, parts=parts), (0.5,)
    bounds = [(axis.lo, axis.hi) for axis in signal.axes]
    smooth = plan.schedule.between > 0 and signal.weights is None and math.prod(axis.n for axis in signal.axes) <= MOST_SMOOTHED
    weights = _weights(signal, plan.target.metric)
    data = training_data(signal.values, weights, bounds, stride=plan.schedule.stride, device=device, parts=parts, smooth=smooth)
    if plan.windows is None:
        return data, data.offset
    windows = replace(plan.windows, lo=signal.axes[0].lo, hi=signal.axes[0].hi)
    return windowed_data(data, windows, stride=plan.schedule.stride, threads=parts), data.offset


def _weights(signal: Signal, metric: str) -> NDArray[np.float32] | None:
    """What errors of the samples count, by a metric."""
    if metric == "psnr":
        return signal.weights
    weights = similarity_weights(signal.values)
    return weights if signal.weights is None else weights * signal.weights
