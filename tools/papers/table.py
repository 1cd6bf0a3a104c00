"""Rows of a table: the paper's number, ours over some seeds; as JSON and as Markdown."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUDGETS = ("smoke", "cpu", "paper")


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
class Report:
    """A finished table. `difference`: in what the protocol is not the paper's. `curves`: more, for plots."""

    title: str
    budget: str
    difference: str
    rows: tuple[Row, ...]
    curves: Any = None

    def save(self, folder: Path, name: str) -> tuple[Path, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        data, text = folder / f"{name}.json", folder / f"{name}.md"
        rows = [{"method": r.method, "metric": r.metric, "paper": r.paper, "ours": list(r.ours), "spread": r.spread} for r in self.rows]
        told = {"title": self.title, "budget": self.budget, "difference": self.difference, "rows": rows, "curves": self.curves}
        data.write_text(json.dumps(told, indent=1) + "\n")
        text.write_text(self.markdown())
        return data, text

    def markdown(self) -> str:
        lines = [f"# {self.title}", "", f"Budget {self.budget}. {self.difference}", ""]
        lines += ["| method | metric | paper | ours | spread over seeds |", "| --- | --- | --- | --- | --- |"]
        for r in self.rows:
            paper = "" if r.paper is None else number(r.paper)
            lines.append(
                f"| {r.method} | {r.metric} | {paper} | {number(r.mean)} | {number(r.spread) if len(r.ours) > 1 else 'one seed'} |"
            )
        return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Four significant digits, small and large numbers with an exponent."""
    plain = value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e6
    return f"{value:.4g}" if plain else f"{value:.2e}"


def collected(runs: Sequence[dict[tuple[str, str], float]], published: dict[tuple[str, str], float]) -> tuple[Row, ...]:
    """Rows of several seeds' results by (method, metric)."""
    return tuple(
        Row(method=method, metric=metric, paper=published.get((method, metric)), ours=tuple(run[method, metric] for run in runs))
        for method, metric in runs[0]
    )
