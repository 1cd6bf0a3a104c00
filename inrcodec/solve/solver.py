"""From an equation to a network that solves it: collocation points, least squares of the residual, what is known of the result.

Only the output layer is trained, in float64 by least squares (least_squares.py); the layers before it keep what they are drawn with, of
the first one the directions at random and, in MSA, frequencies as the network states. Derivatives are exact, by PyTorch's transforms of
functions.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.torch_double import DoubleOps
from inrcodec.coordinates import Points
from inrcodec.errors import UsageError
from inrcodec.fit.quantized import FlatLayout, flat_layout
from inrcodec.networks import NETWORKS
from inrcodec.networks.base import Network
from inrcodec.networks.msa import MsaConfig
from inrcodec.solve.equations import EQUATIONS, Axis, Equation, Scalar
from inrcodec.solve.least_squares import Condition, Minimum, fit_output, residuals

Tensor = torch.Tensor
CPU = torch.device("cpu")
STORABLE = 1e-8  # cutoff of singular values: with less, outputs are differences of large terms, which float32 does not hold
TEST_GRID = 33  # points per axis for what is known of a solution, none of them a collocation point


@dataclass(frozen=True, kw_only=True)
class Options:
    """points: collocation points per axis; border: weight of the given sides against the inside."""

    points: int = 40
    steps: int = 20
    border: float = 1.0
    seed: int = 0
    time_limit: float | None = None  # seconds

    def __post_init__(self) -> None:
        if not 4 <= self.points <= 1000:
            raise UsageError(f"points: expected 4..1000, got {self.points}")
        if not 1 <= self.steps <= 100_000:
            raise UsageError(f"steps: expected 1..100000, got {self.steps}")
        if not (math.isfinite(self.border) and self.border > 0):
            raise UsageError(f"border: expected a number above 0, got {self.border}")
        if self.seed < 0:
            raise UsageError(f"seed: expected at least 0, got {self.seed}")


@dataclass(frozen=True, eq=False)
class Solution:
    """Parameters by name, float64, and what is known of them: the residual over its scale at test points, the relative L2 error.

    The error of the file, whose parameters and values are float32, is that of `file.file_error`.
    """

    network: Network
    config: Any
    params: dict[str, NDArray[np.float64]]
    residual_rms: float
    residual_max: float
    relative_l2: float
    minimum: Minimum
    seconds: float


def solve(
    equation: Equation, network: Network, config: Any, options: Options, *, progress: Callable[[int, float], None] | None = None
) -> Solution:
    """Fit `network` to an equation. `progress` is told the step and the sum of the squares."""
    begin = time.monotonic()
    layout = flat_layout(network.params(config), CPU)
    if any(not param.trainable for param in network.params(config)):
        raise UsageError(f"arch: expected a network without frozen frequencies, got {network.id}")
    initial = drawn(network, config, options.seed, aspect=equation.aspect)
    conditions = collocation(equation, network, config, layout, options)

    def told(step: int, loss: float) -> bool:
        if progress is not None:
            progress(step, loss)
        return options.time_limit is not None and time.monotonic() - begin >= options.time_limit

    outputs = layout.offsets[-1] - layout.offsets[-3]
    found = fit_output(conditions, flatten(layout, initial), outputs, steps=options.steps, cutoff=STORABLE, progress=told)
    params = {name: view.numpy().copy() for name, view in layout.views(found.params).items()}
    rms, largest, error = known(equation, network, config, layout, found.params)
    return Solution(network, config, params, rms, largest, error, found, time.monotonic() - begin)


def solve_by_name(name: str, *, neurons: int, options: Options, hidden_layers: int = 0) -> Solution:
    """The equation `name` with msa.1. Raises UsageError for an unknown name and impossible sizes."""
    if name not in EQUATIONS:
        raise UsageError(f"equation: expected one of {', '.join(EQUATIONS)}, got {name}")
    equation = EQUATIONS[name]
    try:
        config = MsaConfig(len(equation.axes), 1, neurons, hidden_layers, equation.s_min, equation.s_max)
    except ValueError as error:
        raise UsageError(f"neurons: {error}") from error
    return solve(equation, NETWORKS["msa.1"], config, options)


def drawn(network: Network, config: Any, seed: int, *, aspect: tuple[float, ...] | None = None) -> dict[str, NDArray[np.float32]]:
    """The network's own initial values, but directions of unit length in the first layer, and no output. `aspect` (d,): spread per axis."""
    rng = np.random.default_rng([seed, 0])
    values = network.init(config, rng)
    if "first.weight" in values:
        first = rng.standard_normal(values["first.weight"].shape) * (1.0 if aspect is None else np.array(aspect))
        values["first.weight"] = (first / np.linalg.norm(first, axis=1, keepdims=True)).astype(np.float32)
        values["first.bias"] = rng.uniform(-1, 1, values["first.bias"].shape).astype(np.float32)
    return {name: np.zeros_like(value) if name.startswith("out.") else value for name, value in values.items()}


def flatten(layout: FlatLayout, values: Mapping[str, NDArray[np.floating]]) -> Tensor:
    return torch.cat([torch.as_tensor(values[param.name], dtype=torch.float64).reshape(-1) for param in layout.params])


def function(equation: Equation, network: Network, config: Any, layout: FlatLayout) -> Callable[[Tensor, Tensor], Tensor]:
    """(p, x) -> u(x), x a point (d,) of the domain, which the network sees as [-1, 1]^d."""
    ops = DoubleOps(CPU)
    low = torch.tensor([axis.low for axis in equation.axes], dtype=torch.float64)
    span = torch.tensor([axis.high - axis.low for axis in equation.axes], dtype=torch.float64)

    def value(p: Tensor, x: Tensor) -> Tensor:
        points: Any = Points((2 * (x - low) / span - 1).unsqueeze(0))  # type: ignore[arg-type]
        found: Tensor = equation.size * network.forward(ops, config, layout.views(p), points)[0, 0]
        return found

    return value


def collocation(equation: Equation, network: Network, config: Any, layout: FlatLayout, options: Options) -> list[Condition]:
    """The equation inside, at one random point of each cell of a grid, and the given values at as many points of every side."""
    rng, n, d = np.random.default_rng([options.seed, 1]), options.points, len(equation.axes)
    value = function(equation, network, config, layout)

    def inside(p: Tensor, x: Tensor) -> Tensor:
        u: Scalar = lambda at: value(p, at)  # noqa: E731
        return equation.residual(u, x) / equation.scale

    cells = np.stack(np.meshgrid(*[np.arange(n)] * d, indexing="ij"), axis=-1).reshape(-1, d)
    unit = (cells + rng.random(cells.shape)) / n
    found = [Condition(torch.as_tensor(_world(equation.axes, unit)), inside, len(unit) ** -0.5)]
    for axis, end in equation.given:
        unit = (np.arange(n)[:, None] + rng.random((n, d))) / n
        unit[:, axis] = 0.0 if end == "low" else 1.0
        points = _world(equation.axes, unit)
        given = equation.exact(points)
        # The value travels as a last component of the point.
        wanted = torch.as_tensor(np.concatenate([points, given[:, None]], axis=1))
        weight = options.border / equation.size * (n * len(equation.given)) ** -0.5
        found.append(Condition(wanted, lambda p, x: value(p, x[:-1]) - x[-1], weight))
    return found


def known(equation: Equation, network: Network, config: Any, layout: FlatLayout, params: Tensor) -> tuple[float, float, float]:
    """Root mean square and largest residual over its scale, and relative L2 error, at the test points."""
    points = test_points(equation.axes)
    value = function(equation, network, config, layout)
    inside = Condition(torch.as_tensor(points), lambda p, x: equation.residual(lambda at: value(p, at), x) / equation.scale, 1.0)
    r = residuals([inside], params).numpy()
    u = residuals([Condition(torch.as_tensor(points), value, 1.0)], params).numpy()
    return float(np.sqrt(np.mean(r**2))), float(np.abs(r).max()), relative_l2(u, equation.exact(points))


def relative_l2(found: NDArray[np.floating], exact: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def _world(axes: tuple[Axis, ...], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.array([axis.low for axis in axes]) + unit * np.array([axis.high - axis.low for axis in axes]))


def test_points(axes: tuple[Axis, ...]) -> NDArray[np.float64]:
    unit = np.stack(np.meshgrid(*[np.linspace(0, 1, TEST_GRID)] * len(axes), indexing="ij"), axis=-1)
    return _world(axes, unit.reshape(-1, len(axes)))
