"""Table of equations: MSA table 3."""

from collections.abc import Sequence

import torch

from inrcodec.solve.equations import EQUATIONS
from inrcodec.solve.file import file_error, solution_file
from inrcodec.solve.solver import Options, solve_by_name
from tools.papers.table import Item, Report, averaged

MSA_3 = {"heat": 1.93e-4, "poisson": 1.03e-4, "allen-cahn": 1.41e-3, "advection": 3.35e-4}
SIZES = {"smoke": (40, 6), "cpu": (1200, 40), "paper": (1600, 48)}


def equation_table(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """A row an equation; what is solved is `inrcodec solve`, on the CPU whatever the device."""
    neurons, points = SIZES[budget]
    items = list[Item]()
    for seed in seeds:
        for name in (*MSA_3, "helmholtz"):
            options = Options(points=points, seed=seed)
            found = solve_by_name(name, neurons=neurons, options=options)
            error = file_error(EQUATIONS[name], solution_file(EQUATIONS[name], found, options))
            values = {
                "relative L2": error,
                "relative L2, float64": found.relative_l2,
                "residual": found.residual_rms,
                "seconds": found.seconds,
            }
            parameters = sum(value.size for value in found.params.values())
            items.append(Item(method=name, signal=name, seed=seed, parameters=parameters, seconds=round(found.seconds, 2), values=values))
    rows = averaged(items, {(name, "relative L2"): value for name, value in MSA_3.items()})
    means = {row.method: row.mean for row in rows if row.metric == "relative L2"}
    verdict = tuple(f"{name}: {means[name]:.2e}, the paper {value:.2e}." for name, value in MSA_3.items())
    told = (
        f"One layer of {neurons} sines, its output by least squares in float64 on {points}^2 points, errors of the file decoded (float32);"
        " the paper trains several layers, and does not publish its equations: those of `inrcodec solve --list` are ours, and helmholtz is"
        " not in its table."
    )
    return Report(title="MSA, table 3: equations", budget=budget, difference=told, rows=rows, items=tuple(items), verdict=verdict)


TABLES = {"msa-table3": equation_table}
