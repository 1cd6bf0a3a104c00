"""The progress of sape.1 while it is fitted: its features enter where the error is still large (SAPE, section 3.2).

SAPE lets a feature in after a time of its own, wherever the error has not fallen below a threshold. Here the threshold is half of the
mean error, so that it needs no constant of the signal; once the rate counts, the progress is trained like any other parameter.
"""

import torch

from inrcodec.fit.data import Batch
from inrcodec.fit.gradients import Lane
from inrcodec.fit.plan import Plan
from inrcodec.networks.sape import FIRST, PROGRESS, SAPE

STAGES = 40  # of a fit, until the rate enters or, without one, half of it has passed
SHARE = 0.5  # of the mean error, from which on features enter


def is_due(plan: Plan, step: int) -> bool:
    """Whether a stage begins with this step."""
    until = (plan.schedule.rate_from if plan.target.lam > 0 else 0.5) * plan.schedule.steps
    every = max(1, int(until / STAGES))
    return plan.network.id == SAPE.id and 0 < step <= until and step % every == 0


def advance(lane: Lane, tables: torch.Tensor, plan: Plan, batch: Batch) -> None:
    """Add one stage to the progress at the vertices with a large error around: `tables` (entries, 1), or (k, entries, 1) of windows."""
    network, config = plan.network, plan.config
    held = tables if plan.windows is not None else tables.unsqueeze(0)
    weight, total = torch.zeros_like(held), torch.zeros_like(held)
    for part in batch.parts:
        params = lane.params[part.window]
        with torch.no_grad():
            output = network.forward(lane.ops, config, params, part.coords)
            error = ((output - batch.targets[:, part.samples]) ** 2).mean(0, keepdim=True)
        # A sample's error goes to the vertices it lies between, in the shares that interpolation has: those of a gradient.
        leaf = params[PROGRESS].detach().clone().requires_grad_()
        found = lane.ops.hash_grid(part.coords, [leaf], config.levels, config.stretch)
        for sums, values in ((weight, torch.ones_like(error)), (total, error)):
            sums[part.window] += torch.autograd.grad(found, leaf, values, retain_graph=True)[0]
    due = (weight > 0) & (total * weight.sum() >= SHARE * weight * total.sum())
    held.add_(due * ((1 - FIRST) / STAGES)).clamp_(max=1)
