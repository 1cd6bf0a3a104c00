"""Rows of a table: the paper's number, ours over some seeds and signals; as JSON and as Markdown."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from inrcodec.bench.machine import machine

BUDGETS = ("smoke", "cpu", "paper")
Numbers = dict[tuple[str, str], float]  # by (method, metric)
LESS_IS_BETTER = ("noisiness", "Chamfer")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of one method: the paper's or None, ours for every seed."""

    method: str
    metric: str
    paper: float | None
    ours: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.ours) / len(self.ours)

    @property
    def spread(self) -> float:
        """Largest less smallest over the seeds."""
        return max(self.ours) - min(self.ours)


@dataclass(frozen=True, kw_only=True)
class Item:
    """What one method got on one signal."""

    method: str
    signal: str
    seed: int
    parameters: int
    seconds: float
    values: Mapping[str, float]
    learning_rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """A finished table. `difference`: in what the protocol is not the paper's. `curves`: more, for plots. `verdict`: how claims stand.
    `sheet`: what a figure shows, of the first seed.
    """

    title: str
    budget: str
    difference: str
    rows: tuple[Row, ...]
    curves: Any = None
    items: tuple[Item, ...] = ()
    verdict: tuple[str, ...] = ()
    sheet: Image.Image | None = None

    def save(self, folder: Path, name: str) -> tuple[Path, ...]:
        folder.mkdir(parents=True, exist_ok=True)
        data, text = folder / f"{name}.json", folder / f"{name}.md"
        rows = [{"method": r.method, "metric": r.metric, "paper": r.paper, "ours": list(r.ours), "spread": r.spread} for r in self.rows]
        told = {
            "title": self.title,
            "budget": self.budget,
            "machine": machine(),
            "seeds": list(range(max((len(row.ours) for row in self.rows), default=0))),
            "difference": self.difference,
            "verdict": self.verdict,
            "rows": rows,
            "items": [asdict(item) for item in self.items],
            "curves": self.curves,
        }
        data.write_text(json.dumps(told, indent=1) + "\n")
        text.write_text(self.markdown())
        if self.sheet is None:
            return data, text
        drawn = folder / f"{name}.png"
        self.sheet.save(drawn, optimize=True)
        return data, text, drawn

    def markdown(self) -> str:
        lines = [f"# {self.title}", "", f"Budget {self.budget}. {self.difference}", ""]
        lines += ["| method | metric | paper | ours | spread over seeds |", "| --- | --- | --- | --- | --- |"]
        for r in self.rows:
            paper = "" if r.paper is None else number(r.paper)
            lines.append(
                f"| {r.method} | {r.metric} | {paper} | {number(r.mean)} | {number(r.spread) if len(r.ours) > 1 else 'one seed'} |"
            )
        if self.verdict:
            lines += ["", *(f"- {line}" for line in self.verdict)]
        return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Four significant digits, small and large numbers with an exponent."""
    plain = value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e6
    return f"{value:.4g}" if plain else f"{value:.2e}"


def collected(runs: Sequence[Numbers], published: Numbers) -> tuple[Row, ...]:
    """Rows of several seeds' results by (method, metric)."""
    return tuple(
        Row(method=method, metric=metric, paper=published.get((method, metric)), ours=tuple(run[method, metric] for run in runs))
        for method, metric in runs[0]
    )


def averaged(items: Sequence[Item], published: Numbers) -> tuple[Row, ...]:
    """Rows of means over the signals, one number a seed; every method is to have every signal."""
    seeds, methods = sorted({item.seed for item in items}), dict.fromkeys(item.method for item in items)
    runs = []
    for seed in seeds:
        run: Numbers = {}
        for method in methods:
            each = [item.values for item in items if item.method == method and item.seed == seed]
            run |= {(method, metric): sum(values[metric] for values in each) / len(each) for metric in each[0]}
        runs.append(run)
    return collected(runs, published)


def standing(rows: Sequence[Row], method: str, rivals: Sequence[str], metrics: Sequence[str]) -> tuple[str, ...]:
    """A sentence a metric: whether `method` is ahead of all `rivals`, else of which it is not, and by how much."""
    lines = []
    for metric in metrics:
        means = {row.method: row.mean for row in rows if row.metric == metric and row.method in (method, *rivals)}
        sign = -1 if metric in LESS_IS_BETTER else 1
        before = [name for name in means if name != method and not sign * means[method] > sign * means[name]]
        best = max((name for name in means if name != method), key=lambda name: sign * means[name])
        if before:
            found = ", ".join(f"{name} {number(means[name])}" for name in sorted(before, key=lambda name: -sign * means[name]))
            lines.append(f"{metric}: {method} {number(means[method])} is not ahead of {found}.")
        else:
            lines.append(
                f"{metric}: {method} {number(means[method])} is ahead of all {len(means) - 1}, the next is {best} {number(means[best])}."
            )
    return tuple(lines)


def steps_up(rows: Sequence[Row], methods: Sequence[str]) -> tuple[str, ...]:
    """A sentence a step from one method to the next: by how much the PSNR is larger there, or that it is not."""
    means = {row.method: row.mean for row in rows if row.metric == "PSNR"}
    lines = []
    for before, after in pairwise(methods):
        gap = means[after] - means[before]
        lines.append(f"{after} is {abs(gap):.2f} dB {'above' if gap > 0 else 'not above, but below'} {before}.")
    return tuple(lines)


def spans(rows: Sequence[Row]) -> tuple[str, ...]:
    """A sentence a method: how far its numbers lie apart."""
    lines = []
    for method in dict.fromkeys(row.method for row in rows):
        means = [row.mean for row in rows if row.method == method]
        lines.append(f"{method}: from {number(min(means))} to {number(max(means))}.")
    return tuple(lines)
