"""The output layer of a network by least squares, in float64: exact for linear equations, Gauss-Newton steps for others.

Columns are brought to unit length first, so that the size of a neuron does not matter, and the system is solved by its singular values,
since the normal equations would lose half of the digits.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

Tensor = torch.Tensor
Row = Callable[[Tensor, Tensor], Tensor]  # parameters (p,), a point (d,) -> ()
ROWS_AT_ONCE = 128
CUTOFF = 1e-15  # all that float64 tells from rounding
ENOUGH = 1e-3  # relative decrease of the sum of squares below which no further step is made
HALVINGS = 12  # of a step that goes too far, as those of curved equations may
ROUNDED = 1e-20  # of the first sum: what is left is rounding


@dataclass(frozen=True, eq=False)
class Condition:
    """weight * row(p, x) is to be 0 at each of the points (n, d)."""

    points: Tensor
    row: Row
    weight: float


@dataclass(frozen=True, eq=False)
class Minimum:
    """The parameters, and the sums of squares from the first on."""

    params: Tensor
    losses: tuple[float, ...]


def fit_output(
    conditions: Sequence[Condition],
    params: Tensor,
    count: int,
    *,
    steps: int,
    cutoff: float = CUTOFF,
    progress: Callable[[int, float], bool] | None = None,
) -> Minimum:
    """Lower the sum of the squares of all rows by the last `count` parameters, until a step gains nothing or `steps` were made.

    cutoff: of singular values, relative to the largest; the larger it is, the smaller are the parameters. progress: told the number of
    the step and the sum; True ends it.
    """
    head, q = params[:-count], params[-count:]
    own = [Condition(c.points, _behind(head, c.row), c.weight) for c in conditions]
    r, jacobian = linearized(own, q)
    losses = [float(r @ r)]
    for step in range(1, steps + 1):
        if not math.isfinite(losses[-1]):
            break
        lengths = jacobian.norm(dim=0).clamp_min(1e-300)
        change = torch.linalg.lstsq(jacobian / lengths, -r.unsqueeze(1), rcond=cutoff, driver="gelsd").solution.squeeze(1) / lengths
        better = False
        for halved in range(HALVINGS):
            candidate = q + change * 0.5**halved
            found, slopes = linearized(own, candidate)
            loss = float(found @ found)
            better = loss < losses[-1] * (1 - ENOUGH)
            if better or losses[-1] < ROUNDED * losses[0]:
                break
        if not better:
            break
        q, r, jacobian = candidate, found, slopes
        losses.append(loss)
        if progress is not None and progress(step, loss):
            break
    return Minimum(torch.cat([head, q]), tuple(losses))


def _behind(head: Tensor, row: Row) -> Row:
    """`row` as a function of the parameters behind `head`."""
    return lambda last, x: row(torch.cat([head, last]), x)


def residuals(conditions: Sequence[Condition], params: Tensor) -> Tensor:
    """All rows (n,)."""
    return torch.cat([c.weight * torch.func.vmap(c.row, (None, 0), chunk_size=ROWS_AT_ONCE)(params, c.points) for c in conditions])


def linearized(conditions: Sequence[Condition], params: Tensor) -> tuple[Tensor, Tensor]:
    """All rows (n,) and their derivatives by the parameters (n, p)."""
    values, slopes = [], []
    for c in conditions:
        slope, value = torch.func.vmap(torch.func.grad_and_value(c.row), (None, 0), chunk_size=ROWS_AT_ONCE)(params, c.points)
        values.append(c.weight * value)
        slopes.append(c.weight * slope)
    return torch.cat(values), torch.cat(slopes)
