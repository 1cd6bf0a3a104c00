"""A solution as a file: a field with its domain, its units and what is known of its residual."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec import spec
from inrcodec.assembly import make_head, provenance
from inrcodec.chunks import Chunk
from inrcodec.container import Container, dump, pack_map
from inrcodec.errors import UsageError
from inrcodec.fit.plan import Plan, Schedule, Target
from inrcodec.opening import open_inr
from inrcodec.signals.base import Axis, Channel, Signal, Space
from inrcodec.solve.equations import Equation
from inrcodec.solve.solver import Options, Solution, relative_l2, test_points

SAMPLES = 256  # nominal, per axis
MOST_SAMPLES = 1 << 14
SCANNED = 256  # cells per axis, for the range of values
MARGIN = 0.05  # of the range of values, beyond both ends: between samples a solution may be a little larger


def solution_file(equation: Equation, solution: Solution, options: Options, *, samples: int = SAMPLES) -> bytes:
    """The .inr of a solution, parameters as float32.

    Values are in the units of the equation, the network's coordinates [-1, 1] on every axis, `space` takes indices to the domain. In
    the metrics: root mean square and largest residual over the equation's scale, of the float64 network, and the file's relative L2 error.
    """
    if not 1 <= samples <= MOST_SAMPLES:
        raise UsageError(f"samples: expected 1..{MOST_SAMPLES}, got {samples}")
    signal = _signal(equation, samples)
    plan = Plan(
        network=solution.network,
        config=solution.config,
        schedule=Schedule(steps=1, stride=1, learning_rate=1.0, table_learning_rate=1.0),
        target=Target(lam=0.0),
    )
    channel = signal.channels[0]
    span = channel.high - channel.low
    head = make_head(signal, plan, equation.size / span, [-channel.low / span])
    tensors, payloads = [], []
    for param in solution.network.params(solution.config):
        payload = solution.params[param.name].astype("<f4").tobytes()
        tensors.append([spec.RAW_F32, len(payload)])
        payloads.append(payload)
    whole = {**head, "tens": tensors}
    error = file_error(equation, dump(Container(whole, b"".join(payloads), ())))
    told = {"equation": equation.text, "points": options.points, "border": options.border, "steps": len(solution.minimum.losses) - 1}
    rows: list[dict[str, Any]] = [
        {"metric": "residual_rms", "value": solution.residual_rms},
        {"metric": "residual_max", "value": solution.residual_max},
        {"metric": "relative_l2", "value": error},
    ]
    ancillary = (provenance(signal, told, options.seed), Chunk(spec.METRICS, pack_map({"metrics": rows})))
    return dump(Container(whole, b"".join(payloads), ancillary))


def file_error(equation: Equation, data: bytes) -> float:
    """Relative L2 error, at the test points, of what a file of a solution decodes to."""
    points = test_points(equation.axes)
    low, high = (np.array([getattr(axis, end) for axis in equation.axes]) for end in ("low", "high"))
    found = open_inr(data, backend="numpy").at(2 * (points - low) / (high - low) - 1)
    return relative_l2(np.asarray(found, dtype=np.float64)[:, 0], equation.exact(points))


def _signal(equation: Equation, samples: int) -> Signal:
    """The field without its values: where it lies, and between which numbers."""
    axes = equation.axes
    steps = [(axis.high - axis.low) / samples for axis in axes]
    grid = np.stack(np.meshgrid(*[np.linspace(axis.low, axis.high, SCANNED + 1) for axis in axes], indexing="ij"), axis=-1)
    values: NDArray[np.float64] = equation.exact(grid.reshape(-1, len(axes)))
    low, high = float(values.min()), float(values.max())
    margin = MARGIN * (high - low)
    affine = np.diag([*steps, 1.0])
    affine[: len(axes), -1] = [axis.low + 0.5 * step for axis, step in zip(axes, steps, strict=True)]
    return Signal(
        kind="field",
        axes=tuple(Axis(axis.name, samples) for axis in axes),
        channels=(Channel("u", "value", low - margin, high + margin),),
        values=np.zeros((0,), np.float32),
        bits=16,
        dtype="float32",
        space=Space(tuple(steps), tuple(affine.reshape(-1).tolist()), equation.units),
    )
