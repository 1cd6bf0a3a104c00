"""Differential equations with stated domains and conditions, and the functions that solve them where these are known.

MSA's paper solves a heat, a Poisson, an Allen-Cahn and an advection equation (table 3) and a Helmholtz equation (figure 5) without stating
them; only the Poisson equation of its ablation is stated, -(u_xx + u_yy) = sin(pi x) sin(10 pi y). The others here are this project's own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Tensor = torch.Tensor
Scalar = Callable[[Tensor], Tensor]  # a point (d,) -> ()
Residual = Callable[[Scalar, Tensor], Tensor]  # of a function at a point: ()


@dataclass(frozen=True)
class Axis:
    name: str
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Equation:
    """residual(u, x) = 0 inside; u is the exact solution on the sides named in `given`, each (axis, its low or high end).

    size: of the solution, which is this many times the network's output; scale: of the residual's terms, by which it is divided; s_min,
    s_max: of MSA's frequencies, in radians per half an axis, enough for the solution; aspect: how fast it changes along each of the
    axes, by which the directions of these frequencies are drawn.
    """

    text: str
    axes: tuple[Axis, ...]
    units: str
    residual: Residual
    exact: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    given: tuple[tuple[int, str], ...]
    scale: float
    s_min: float
    s_max: float
    size: float = 1.0
    aspect: tuple[float, ...] = (1.0, 1.0)


def derivative(u: Scalar, k: int) -> Scalar:
    """d u / d x_k, exact."""

    def at(x: Tensor) -> Tensor:
        slope: Tensor = torch.func.grad(u)(x)[k]
        return slope

    return at


def second(u: Scalar, k: int) -> Scalar:
    return derivative(derivative(u, k), k)


def laplace(u: Scalar, x: Tensor) -> Tensor:
    return second(u, 0)(x) + second(u, 1)(x)


UNIT = (Axis("y", 0.0, 1.0), Axis("x", 0.0, 1.0))
ALL_SIDES = ((0, "low"), (0, "high"), (1, "low"), (1, "high"))
FAST, ALPHA, BETA, WAVE = 20 * math.pi, 1 / (20 * math.pi) ** 2, 20.0, 1.0


def _poisson(u: Scalar, x: Tensor) -> Tensor:
    return laplace(u, x) + torch.sin(math.pi * x[1]) * torch.sin(10 * math.pi * x[0])


def _heat(u: Scalar, x: Tensor) -> Tensor:
    return derivative(u, 0)(x) - ALPHA * second(u, 1)(x)


def _advection(u: Scalar, x: Tensor) -> Tensor:
    return derivative(u, 0)(x) + BETA * derivative(u, 1)(x)


def _made(x: Tensor) -> tuple[Tensor, Tensor]:
    """u and its Laplacian for Allen-Cahn."""
    a, b = (torch.sin(v) + 0.1 * torch.sin(20 * v) for v in (x[1], x[0]))
    aa, bb = (-torch.sin(v) - 40 * torch.sin(20 * v) for v in (x[1], x[0]))
    return a * b, aa * b + a * bb


def _allen_cahn(u: Scalar, x: Tensor) -> Tensor:
    value, (made, bent) = u(x), _made(x)
    return laplace(u, x) + value**3 - value - (bent + made**3 - made)


def _helmholtz(u: Scalar, x: Tensor) -> Tensor:
    made = torch.sin(math.pi * x[1]) * torch.sin(4 * math.pi * x[0])
    return laplace(u, x) + WAVE**2 * u(x) - (WAVE**2 - 17 * math.pi**2) * made


EQUATIONS = {
    "poisson": Equation(
        text="-(u_xx + u_yy) = sin(pi x) sin(10 pi y) on [0, 1]^2, u = 0 on the border",
        axes=UNIT,
        units="",
        residual=_poisson,
        exact=lambda p: np.sin(math.pi * p[:, 1]) * np.sin(10 * math.pi * p[:, 0]) / (101 * math.pi**2),
        given=ALL_SIDES,
        scale=1.0,
        s_min=0.5,
        s_max=1.5,
        size=1e-3,
    ),
    "heat": Equation(
        text="u_t = u_xx / (20 pi)^2 for t, x in [0, 1], u(0, x) = sin(20 pi x), u(t, 0) = u(t, 1) = 0",
        axes=(Axis("t", 0.0, 1.0), Axis("x", 0.0, 1.0)),
        units="",
        residual=_heat,
        exact=lambda p: np.exp(-p[:, 0]) * np.sin(FAST * p[:, 1]),
        given=((0, "low"), (1, "low"), (1, "high")),
        scale=1.0,
        s_min=0.5,
        s_max=1.7,
        aspect=(0.05, 1.0),
    ),
    "allen-cahn": Equation(
        text="u_xx + u_yy + u (u^2 - 1) = f on [0, 1]^2, f and the border those of u = (sin x + sin(20 x) / 10) (sin y + sin(20 y) / 10)",
        axes=UNIT,
        units="",
        residual=_allen_cahn,
        exact=lambda p: np.prod(np.sin(p) + 0.1 * np.sin(20 * p), axis=1),
        given=ALL_SIDES,
        scale=40.0,
        s_min=0.0,
        s_max=1.4,
    ),
    "advection": Equation(
        text="u_t + 20 u_x = 0 for t, x in [0, 1], u(0, x) = sin x, u(t, 0) = sin(-20 t)",
        axes=(Axis("t", 0.0, 1.0), Axis("x", 0.0, 1.0)),
        units="",
        residual=_advection,
        exact=lambda p: np.sin(p[:, 1] - BETA * p[:, 0]),
        given=((0, "low"), (1, "low")),
        scale=20.0,
        s_min=0.0,
        s_max=1.3,
    ),
    "helmholtz": Equation(
        text="u_xx + u_yy + u = f on [-1, 1]^2, u = 0 on the border, f that of u = sin(pi x) sin(4 pi y)",
        axes=(Axis("y", -1.0, 1.0), Axis("x", -1.0, 1.0)),
        units="",
        residual=_helmholtz,
        exact=lambda p: np.sin(math.pi * p[:, 1]) * np.sin(4 * math.pi * p[:, 0]),
        given=ALL_SIDES,
        scale=17 * math.pi**2,
        s_min=0.0,
        s_max=1.4,
    ),
}
