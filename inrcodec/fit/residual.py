"""The context network of a residual, fitted to its symbols, which are known: a few hundred looks at parts of them."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec import context, residual
from inrcodec.backends.threads import Team, team
from inrcodec.context import OUTPUTS, ContextNet
from inrcodec.fit.contexts import Contexts, Table, new_weights, rate_of

STEPS = 500
PART = 24 << 10  # symbols of a part, about
HIDDEN, FEW_HIDDEN = 12, 4
FEW = 1 << 15  # symbols below which the network's own bytes matter, and one that sees nothing is tried too
LEARNING_RATE = 4e-2


def payload(values: NDArray[np.integer], *, seed: int) -> bytes:
    """The bytes of a residual (*axes, c), the fewest of what is tried. Raises ValueError beyond +-2^30."""
    if not values.any():
        return b""
    planes = residual.to_planes(values)
    low = residual.low_bits(planes)
    high = planes >> low
    found = [_fitted(high, seed)]
    if high.size < FEW:
        found.append(_blind(high))
    return min((residual.encode(planes, low, net) for net in found), key=len)


def _blind(symbols: NDArray[np.int32]) -> ContextNet:
    """The network of one distribution for every plane."""
    d, planes = symbols.ndim - 1, symbols.shape[-1]
    inputs = context.inputs(d)
    empty = [np.zeros(shape, dtype=np.int64) for shape in ((1, inputs + 1), (OUTPUTS, 1), (OUTPUTS, inputs), (OUTPUTS, planes))]
    empty[-1][1] = np.rint(context.UNIT * _log2_scales(symbols))
    return ContextNet(*empty)


def _log2_scales(symbols: NDArray[np.int32]) -> NDArray[np.float64]:
    """Of the Laplace distribution of each plane (c,)."""
    mean = np.abs(symbols).mean(axis=tuple(range(symbols.ndim - 1)), dtype=np.float64)
    scales: NDArray[np.float64] = np.clip(np.log2(mean + 0.02), *context.LOG2_SCALES)
    return scales


def _fitted(symbols: NDArray[np.int32], seed: int) -> ContextNet:
    d, planes = symbols.ndim - 1, symbols.shape[-1]
    device, hidden = torch.device("cpu"), FEW_HIDDEN if symbols.size < FEW else HIDDEN
    weights = new_weights(d, planes, hidden, torch.Generator().manual_seed(seed), device)
    with torch.no_grad():
        weights["bias"][1] = torch.as_tensor(_log2_scales(symbols), dtype=torch.float32)
    optimizer = torch.optim.Adam(list(weights.values()), lr=LEARNING_RATE, betas=(0.9, 0.99))
    contexts = Contexts(d, 1, tuple(Table(k, 0, 0, 0, 0) for k in range(planes)), weights, optimizer)
    rng = np.random.default_rng(seed)
    with team(1) as threads:
        for step in range(STEPS):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / STEPS)))
            _step(contexts, _part(symbols, rng), threads)
    return contexts.integers()


def _step(contexts: Contexts, part: NDArray[np.int32], threads: Team) -> None:
    rate_of(contexts, [torch.from_numpy(part[..., k : k + 1].astype(np.float32)) for k in range(part.shape[-1])], threads)
    # Bits a symbol, whatever the part's size.
    for weight in contexts.weights.values():
        if weight.grad is not None:
            weight.grad /= part.size
    contexts.optimizer.step()


def _part(symbols: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """A box of them, all channels, of about as many vertices along every axis as there are."""
    *sizes, channels = symbols.shape
    wanted_vertices = max(1, PART // channels)
    sides: list[int] = []
    for k, n in enumerate(sorted(sizes)):
        # Short axes are taken whole, and leave more to the others.
        sides.append(min(n, max(8, round((wanted_vertices / math.prod(sides)) ** (1 / (len(sizes) - k))))))
    wanted = dict(zip(np.argsort(sizes, kind="stable").tolist(), sides, strict=True))
    starts = [int(rng.integers(n - wanted[k] + 1)) for k, n in enumerate(sizes)]
    return symbols[tuple(slice(start, start + wanted[k]) for k, start in enumerate(starts))]
