"""Pictures of a measurement: every item's curves, and their means."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inrcodec.bench import peers, volume_peers
from inrcodec.bench.base import OURS, Row
from inrcodec.bench.curves import Curve, Point, front, mean_curve
from inrcodec.bench.published import Published
from inrcodec.errors import BackendMissing
from inrcodec.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which are told apart with any colour vision; markers tell them apart without colour.
STYLES = {
    OURS: ("#D55E00", "o"),
    "jpeg": ("#56B4E9", "v"),
    "jpeg-444": ("#0072B2", "^"),
    "webp": ("#009E73", "s"),
    "avif": ("#CC79A7", "D"),
    "jxl": ("#E69F00", "P"),
    "sz3": ("#0072B2", "s"),
    "zfp": ("#009E73", "^"),
}
LABELS = {OURS: OURS, **peers.LABELS, **volume_peers.LABELS}
_GREYS = ("#000000", "#555555", "#8C8C8C")
_MARKERS = ("x", "+", "1", "2", "3", "4", "|", "_", "*")
_AXES = {"image": "bits per pixel", "volume": "compression ratio (times smaller than raw)"}
_PEAKS = {"image": "8-bit RGB", "volume": "peak: range of values"}


def need_matplotlib() -> None:
    """Raise BackendMissing where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise BackendMissing("plots: need matplotlib, which is not installed; install it with: pip install 'inrcodec[bench]'") from error


def draw_item(path: Path, item: str, rows: Sequence[Row], kind: str) -> None:
    """Every codec's curve on one item, as a PNG; ours with all of its files, the others with the best of each size."""
    panel = _Panel(kind, item)
    for codec in STYLES:
        points = [_point(row, kind) for row in rows if row.item == item and row.codec == codec and row.psnr is not None]
        panel.curve(codec, tuple(sorted(points, key=lambda p: p.size)) if codec == OURS else front(points))
    panel.save(path)


def draw_means(path: Path, items: Sequence[str], rows: Sequence[Row], kind: str, others: Sequence[Published]) -> None:
    """The mean over all items: ours at equal setting, the others' PSNR at equal rate; `others` dashed, each with its source."""
    panel = _Panel(kind, f"mean over {len(items)} {kind}{'' if len(items) == 1 else 's'}")
    panel.curve(OURS, _our_means(items, rows, kind))
    for codec in STYLES:
        curves = [
            front(_point(row, kind) for row in rows if (row.item, row.codec) == (item, codec) and row.psnr is not None) for item in items
        ]
        if codec != OURS:
            panel.curve(codec, mean_curve(curves), every=8)
    for number, other in enumerate(others):
        panel.dashed(other, _GREYS[number % len(_GREYS)], _MARKERS[number % len(_MARKERS)])
    panel.save(path)


def _our_means(items: Sequence[str], rows: Sequence[Row], kind: str) -> Curve:
    """Of the settings that every item has a file of."""
    settings = dict.fromkeys(row.parameter for row in rows if row.codec == OURS)
    result = []
    for setting in settings:
        points = [_point(row, kind) for row in rows if (row.codec, row.parameter) == (OURS, setting) and row.psnr is not None]
        if len(points) == len(items):
            result.append(Point(sum(p.size for p in points) / len(points), sum(p.psnr for p in points) / len(points)))
    return tuple(sorted(result, key=lambda p: p.size))


def _point(row: Row, kind: str) -> Point:
    """By a size that ascends with the bytes and is the same for every item: bits per pixel, or the part of the raw bytes."""
    assert row.psnr is not None
    return Point(row.rate if kind == "image" else 1 / row.rate, row.psnr)


class _Panel:
    """One set of axes that becomes a PNG."""

    def __init__(self, kind: str, title: str) -> None:
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

        self._kind = kind
        self._figure = Figure(figsize=(10, 6.5), dpi=110, layout="constrained")
        self._axes: Axes = self._figure.add_subplot()
        self._axes.set_xscale("log")
        self._axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0)))
        self._axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        self._axes.xaxis.set_minor_formatter(NullFormatter())
        self._axes.set_xlabel(_AXES[kind])
        self._axes.set_ylabel(f"PSNR, dB ({_PEAKS[kind]})")
        self._axes.set_title(title, loc="left")
        self._axes.grid(alpha=0.25, which="both")
        self._axes.spines[["top", "right"]].set_visible(False)

    def curve(self, codec: str, curve: Curve, *, every: int = 1) -> None:
        """A measured curve with a marker at every `every`-th point; nothing for an empty one."""
        if curve:
            colour, marker = STYLES[codec]
            ours = codec == OURS
            self._line(curve, LABELS[codec], colour, marker, width=3 if ours else 1.6, every=every, order=4 if ours else 3)

    def dashed(self, other: Published, colour: str, marker: str) -> None:
        label = f"{other.name} (published: {other.source}{', interpolated' if other.interpolated else ''})"
        self._line(other.curve, label, colour, marker, width=1.1, style="--")

    def save(self, path: Path) -> None:
        if self._axes.lines:
            self._figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
        out = io.BytesIO()
        self._figure.savefig(out, format="png", metadata={"Software": None})
        write_atomic(path, out.getvalue())

    def _line(
        self, curve: Curve, label: str, colour: str, marker: str, *, width: float, style: str = "-", every: int = 1, order: float = 2
    ) -> None:
        x = [point.size if self._kind == "image" else 1 / point.size for point in curve]
        y = [point.psnr for point in curve]
        self._axes.plot(
            x, y, label=label, color=colour, marker=marker, markersize=5, linewidth=width, linestyle=style, markevery=every, zorder=order
        )
