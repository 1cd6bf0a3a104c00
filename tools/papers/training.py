"""Plain fits of any network to samples on a lattice, as the papers make them: Adam, no rate, no quantization."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.gradient import input_gradient
from inrcodec.backends.threads import team
from inrcodec.backends.torch import TorchEngine, threads_of
from inrcodec.coordinates import Lattice, Points, lattice
from inrcodec.fit.data import Batch, training_data
from inrcodec.fit.gradients import batch_gradients, make_lanes
from inrcodec.fit.optim import cosine_factor, make_optimizers, set_learning_rates
from inrcodec.fit.plan import Schedule
from inrcodec.fit.quantized import flat_layout, to_arrays
from inrcodec.networks.base import Network


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """steps: of Adam; final_rate: of the learning rates, by a cosine; stride: a step sees every stride-th sample per axis."""

    steps: int
    learning_rate: float
    table_learning_rate: float = 5e-4
    final_rate: float = 1.0
    stride: int = 1
    mask_sparsity: float = 0.0


@dataclass(frozen=True, eq=False)
class Run:
    """A fitted network: parameters, outputs to values, (step, seconds, mean squared error) along the way."""

    network: Network
    config: Any
    params: Mapping[str, NDArray[np.float32]]
    scale: float
    offset: NDArray[np.float64]
    curve: tuple[tuple[int, float, float], ...]
    seconds: float
    device: torch.device = field(default=torch.device("cpu"))

    def values(self, coords: Lattice | Points) -> NDArray[np.float64]:
        """(n, c)"""
        evaluate = TorchEngine(self.device).compile(self.network, self.config, self.params)
        return evaluate(coords).astype(np.float64) * self.scale + self.offset

    def on(self, shape: tuple[int, ...], *, shift: float = 0.0) -> NDArray[np.float64]:
        """Values (*shape, c) at the centres of samples, all moved by `shift` samples along every axis."""
        axes = tuple(axis + 2 * shift / n for axis, n in zip(lattice(shape, [(-1, 1)] * len(shape)).axes, shape, strict=True))
        return self.values(Lattice(axes)).reshape(*shape, -1)

    def slopes(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Exact gradients (*shape, c, d) at the centres of samples."""
        points = lattice(shape, [(-1, 1)] * len(shape)).points()
        found = input_gradient(self.network, self.config, self.params, points)
        return (found * self.scale).reshape(*shape, *found.shape[1:]).astype(np.float64)


class Data(Protocol):
    """Batches of samples, in an order that the caller draws; `scale`: values per output of the network."""

    @property
    def scale(self) -> float: ...

    @property
    def parts(self) -> int: ...

    def phase_indices(self) -> list[tuple[int, ...]]: ...

    def batch(self, phase: tuple[int, ...], step: int) -> Batch: ...


def fit(
    network: Network,
    config: Any,
    values: NDArray[np.float32],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    told: Callable[[int, float], None] | None = None,
) -> Run:
    """Fit to values (*axes, c) in [0, 1]. `told` has the step and the error of the batch."""
    data = training_data(values, None, [(-1.0, 1.0)] * (values.ndim - 1), stride=recipe.stride, device=device, parts=threads_of(device))
    return fit_data(network, config, data, recipe, scale=data.scale, offset=np.asarray(data.offset), seed=seed, device=device, told=told)


def fit_data(
    network: Network,
    config: Any,
    data: Data,
    recipe: Recipe,
    *,
    scale: float,
    offset: NDArray[np.float64],
    seed: int,
    device: torch.device,
    told: Callable[[int, float], None] | None = None,
) -> Run:
    """Fit to batches of `data`; values are scale * outputs + offset (c,)."""
    torch.manual_seed(seed)
    params = network.params(config)
    initial = network.init(config, np.random.default_rng([seed, 0]))
    layout = flat_layout(params, device)
    frozen = {param.name: initial[param.name] for param in params if not param.trainable}
    flat = torch.cat([torch.as_tensor(initial[param.name]).reshape(-1) for param in layout.params]).to(device)
    grads = torch.zeros_like(flat)
    schedule = Schedule(
        steps=recipe.steps, stride=recipe.stride, learning_rate=recipe.learning_rate, table_learning_rate=recipe.table_learning_rate
    )
    optimizers = make_optimizers(layout, flat, grads, schedule)
    phases, order = data.phase_indices(), np.random.default_rng([seed, 1])
    curve, begin = list[tuple[int, float, float]](), time.monotonic()
    with team(data.parts) as threads:
        lanes = make_lanes(layout, flat, grads, frozen, device, threads.size)
        for step in range(recipe.steps):
            factor = cosine_factor(step / recipe.steps, recipe.final_rate)
            set_learning_rates(optimizers, [recipe.learning_rate, recipe.table_learning_rate][: len(optimizers)], factor)
            batch = data.batch(phases[int(order.integers(len(phases)))], step)
            sparse = recipe.mask_sparsity if getattr(config, "masks", 0) else 0.0
            error = float(batch_gradients(lanes, threads, network, config, batch, scale=data.scale, mask_sparsity=sparse))
            for optimizer in optimizers:
                optimizer.step()
            curve.append((step + 1, time.monotonic() - begin, error))
            if told is not None:
                told(step + 1, error)
    found = {**to_arrays(layout, flat), **frozen}
    return Run(network, config, found, scale, offset, tuple(curve), time.monotonic() - begin, device)
