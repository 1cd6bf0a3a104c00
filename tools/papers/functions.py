"""The MSA paper's one-dimensional function, NTK eigenvalues, and ablations on equations."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.torch_double import DoubleOps
from inrcodec.coordinates import Points
from inrcodec.fit.quantized import flat_layout
from inrcodec.networks import NETWORKS, msa
from inrcodec.networks.base import Network, Params
from inrcodec.networks.mlp import layer_names
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.pemlp import PemlpConfig
from inrcodec.solve.equations import EQUATIONS
from inrcodec.solve.least_squares import Condition, fit_output, residuals
from inrcodec.solve.solver import CPU, Options, collocation, drawn, flatten, known, relative_l2, solve
from tools.papers.table import Report, collected

Tensor = torch.Tensor
Numbers = dict[tuple[str, str], float]
SAMPLES, TEST = 1024, 4001  # of the function: random ones to fit, a grid to test


@dataclass(frozen=True)
class VariantConfig(MsaConfig):
    """MSA as its ablations change it; in no file."""

    modulated: int = 1  # 0: sin(w z) in place of sin(w z) / w
    spacing: str = "log"  # "linear" or "random"
    seed: int = 0

    @property
    def w(self) -> NDArray[np.float64]:
        low, high = 10.0**self.s_min, 10.0**self.s_max
        if self.spacing == "log":
            return msa.frequencies(self)
        if self.spacing == "linear":
            return np.linspace(low, high, self.hidden_features)
        return np.sort(np.random.default_rng(self.seed).uniform(low, high, self.hidden_features))


def variant_trunk(ops: Any, cfg: VariantConfig, p: Params, coords: Any, modulation: None) -> Any:
    w = cfg.w
    amplitude = 1 / w if cfg.modulated else np.ones_like(w)
    h = coords
    for i, name in enumerate(layer_names(cfg)):
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        if i == 0:
            h = ops.sine_embedding(h, weight, bias, weight_scale=w, bias_scale=w, amplitude=amplitude, mask=None, widths=())
        else:
            h = ops.sine_layer(h, weight, bias, omega=w, amplitude=amplitude, mask=None)
    return ops.linear(h, p["out.weight"], p["out.bias"])


VARIANT: Network = replace(NETWORKS["msa.1"], id="msa-variant", config=VariantConfig, trunk=variant_trunk)


def multiscale(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """y_4 of MSA's section "1D function fitting"."""
    slow = 0.5 * np.sin(2 * x) + np.sin(100 * x + 1.5) * np.cos(5 * x - 0.8)
    return np.asarray(slow + np.cos(200 * x) * np.cos(x) + np.sin(300 * x + 0.3) * np.sin(5 * x))


@dataclass(frozen=True)
class Fitted1d:
    """Mean squared error at the samples, as the paper has it, and relative L2 errors there and on the grid."""

    mse: float
    train: float
    test: float


def fit_1d(network: Network, config: Any, *, samples: int, seed: int) -> Fitted1d:
    """The function by least squares of the output layer, in float64."""
    x = np.random.default_rng([seed, 2]).uniform(-1, 1, (samples, 1))
    layout = flat_layout(network.params(config), CPU)
    value = at_points(network, config)
    pairs = torch.as_tensor(np.concatenate([x, multiscale(x)], axis=1))
    rows = Condition(pairs, lambda p, at: value(p, at[:1]) - at[1], 1.0)
    count = layout.offsets[-1] - layout.offsets[-3]
    params = fit_output([rows], flatten(layout, drawn(network, config, seed)), count, steps=3).params
    grid = np.linspace(-1, 1, TEST)[:, None]
    found, fine = (residuals([Condition(torch.as_tensor(points), value, 1.0)], params).numpy() for points in (x, grid))
    truth, smooth = multiscale(x)[:, 0], multiscale(grid)[:, 0]
    return Fitted1d(float(np.mean((found - truth) ** 2)), relative_l2(found, truth), relative_l2(fine, smooth))


def at_points(network: Network, config: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """(p, x) -> the first output at a point x (d,) in [-1, 1]^d."""
    ops, layout = DoubleOps(CPU), flat_layout(network.params(config), CPU)

    def value(p: Tensor, x: Tensor) -> Tensor:
        points: Any = Points(x.unsqueeze(0))  # type: ignore[arg-type]
        found: Tensor = network.forward(ops, config, layout.views(p), points)[0, 0]
        return found

    return value


def function_table(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    neurons, samples = {"smoke": (120, 160), "cpu": (900, SAMPLES), "paper": (900, SAMPLES)}[budget]
    runs = []
    for seed in seeds:
        found: Numbers = {}
        for name, modulated in (("MSA", 1), ("MSA without modulation", 0)):
            one = fit_1d(VARIANT, VariantConfig(1, 1, neurons, 0, 1.0, 2.6, modulated), samples=samples, seed=seed)
            found |= {(name, "MSE"): one.mse, (name, "relative L2, samples"): one.train, (name, "relative L2, grid"): one.test}
        runs.append(found)
    told = (
        f"One layer of {neurons} sines with frequencies 10 to 10^2.6, its output by least squares in float64 from {samples} samples;"
        " the paper trains four layers of 256 for 10,000 steps of Adam. A single layer without modulation spans the same functions:"
        " see msa-ablation-modulation."
    )
    return Report(title="MSA, figure 2a: 1-D function", budget=budget, difference=told, rows=collected(runs, {("MSA", "MSE"): 7.96e-14}))


def eigenvalue_ratios(network: Network, config: Any, params: Tensor, x: NDArray[np.float64]) -> tuple[float, float]:
    """Shares of the largest eigenvalue of the empirical NTK on points x (n, d), and of all but the three largest."""
    value = at_points(network, config)
    jacobian = torch.func.vmap(torch.func.grad(value), (None, 0), chunk_size=64)(params, torch.as_tensor(x))
    eigenvalues = torch.linalg.eigvalsh(jacobian @ jacobian.T).flip(0).clamp_min(0)
    total = float(eigenvalues.sum())
    return float(eigenvalues[0]) / total, float(eigenvalues[3:].sum()) / total


def ntk_table(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    width, points, steps = {"smoke": (12, 24, 3), "cpu": (48, 128, 200), "paper": (256, 1024, 10_000)}[budget]
    networks: dict[str, tuple[Network, Any]] = {
        "MSA": (NETWORKS["msa.1"], MsaConfig(1, 1, width, 3, 0.0, 2.5)),
        # An encoding of one octave, sin x and cos x beside x, is as near to a plain ReLU network as a file's networks come.
        "ReLU": (NETWORKS["pemlp.1"], PemlpConfig(1, 1, width, 3, 1)),
    }
    runs = []
    for seed in seeds:
        found: Numbers = {}
        for name, (network, config) in networks.items():
            x = np.random.default_rng([seed, 2]).uniform(-1, 1, (points, 1))
            layout = flat_layout(network.params(config), CPU)
            start = flatten(layout, network.init(config, np.random.default_rng(seed)))
            end, _ = descended(at_points(network, config), start, x, multiscale(x)[:, 0], steps=steps)
            for when, p in (("before", start), ("after", end)):
                first, remain = eigenvalue_ratios(network, config, p, x)
                found |= {(name, f"r1 {when}"): first, (name, f"remaining {when}"): remain}
        runs.append(found)
    told = f"{width} neurons a layer, {points} samples, {steps} steps of Adam. The paper's numbers are bounds from below, read in its text."
    paper = {("ReLU", "r1 after"): 0.6, ("MSA", "remaining after"): 0.6}
    return Report(title="MSA, figure 2b: NTK eigenvalues", budget=budget, difference=told, rows=collected(runs, paper))


def descended(
    value: Callable[[Tensor, Tensor], Tensor], params: Tensor, x: NDArray[np.float64], y: NDArray[np.float64], *, steps: int
) -> tuple[Tensor, list[float]]:
    """Parameters after Adam on the mean squared error, rates 1e-4 to 1e-7 by a cosine as in the paper, and the errors."""
    points, wanted = torch.as_tensor(x), torch.as_tensor(y)
    return adam(lambda p: (torch.func.vmap(value, (None, 0))(p, points) - wanted).square().mean(), params, steps=steps, rate=1e-4)[:2]


def adam(loss: Callable[[Tensor], Tensor], params: Tensor, *, steps: int, rate: float) -> tuple[Tensor, list[float], list[Tensor]]:
    """Parameters, losses and gradients of every step; ends where the loss is no number."""
    p = params.clone().requires_grad_()
    optimizer = torch.optim.Adam([p], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=1e-3 * rate)
    losses, gradients = list[float](), list[Tensor]()
    for _ in range(steps):
        optimizer.zero_grad()
        found = loss(p)
        losses.append(float(found.detach()))
        if not math.isfinite(losses[-1]):
            break
        found.backward()  # type: ignore[no-untyped-call]
        assert p.grad is not None
        gradients.append(p.grad.clone())
        optimizer.step()
        schedule.step()
    return p.detach(), losses, gradients


def modulation_table(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """Poisson by gradient descent on the residual through several layers, with and without amplitude modulation."""
    width, points, steps = {"smoke": (12, 5, 3), "cpu": (48, 14, 400), "paper": (128, 64, 20_000)}[budget]
    equation, runs = EQUATIONS["poisson"], []
    for seed in seeds:
        found: Numbers = {}
        for name, modulated in (("MSA", 1), ("MSA without modulation", 0)):
            config = VariantConfig(2, 1, width, 2, 0.0, 3.0, modulated)
            layout = flat_layout(VARIANT.params(config), CPU)
            conditions = collocation(equation, VARIANT, config, layout, Options(points=points, seed=seed))
            start = flatten(layout, VARIANT.init(config, np.random.default_rng(seed)))
            end, losses, gradients = adam(lambda p, c=conditions: residuals(c, p).square().sum(), start, steps=steps, rate=1e-3)
            found[name, "relative L2"] = known(equation, VARIANT, config, layout, end)[2]
            found[name, "last residual"] = losses[-1]
            sizes = torch.stack(gradients).abs() if gradients else torch.full((1, layout.size), math.inf)
            logs = torch.log10(sizes + 1e-30).mean(0)
            for param, place in zip(layout.params, layout.offsets, strict=False):
                if param.role == "matrix":
                    layer = f"mean log10 gradient, {param.name.removesuffix('.weight')}"
                    found[name, layer] = float(logs[place : place + param.size].mean())
        runs.append(found)
    paper = {("MSA", "relative L2"): 3.49e-5, ("MSA without modulation", "relative L2"): 1.31e1}
    for name, values in (("MSA", (-3.47, -5.31, -5.63, -5.26)), ("MSA without modulation", (29.01, 27.08, 25.12, 22.41))):
        layers = ("first", "hidden.0", "hidden.1", "out")
        paper |= {(name, f"mean log10 gradient, {layer}"): value for layer, value in zip(layers, values, strict=True)}
    told = (
        f"Three layers of {width} sines, frequencies 1 to 10^3, {points}^2 points, {steps} steps of Adam; the paper does not say its own."
    )
    return Report(title="MSA, table 4: amplitude modulation", budget=budget, difference=told, rows=collected(runs, paper))


def spacing_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """Helmholtz with three schedules of frequencies and several s_max, by least squares of the output layer."""
    neurons, points = {"smoke": (40, 6), "cpu": (300, 22), "paper": (800, 40)}[budget]
    tops = (1.0,) if budget == "smoke" else (1.0, 1.5, 2.0, 2.5, 3.0)
    runs = []
    for seed in seeds:
        found: Numbers = {}
        for spacing in ("log", "linear", "random"):
            for top in tops:
                config = VariantConfig(2, 1, neurons, 0, 0.0, top, 1, spacing, seed)
                one = solve(EQUATIONS["helmholtz"], VARIANT, config, Options(points=points, seed=seed, steps=2))
                found[spacing, f"relative L2 at s_max {top:g}"] = one.relative_l2
        runs.append(found)
    told = f"One layer of {neurons} sines, output by least squares; our Helmholtz equation, since the paper's is not stated."
    return Report(title="MSA, figure 5: spacing of frequencies", budget=budget, difference=told, rows=collected(runs, {}))


TABLES = {
    "msa-function": function_table,
    "msa-ntk": ntk_table,
    "msa-ablation-modulation": modulation_table,
    "msa-ablation-frequencies": spacing_figure,
}
