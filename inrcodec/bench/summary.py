"""What rows say: our distance to every other codec at equal bytes, and the averages over whole curves."""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from inrcodec.bench.base import OURS, Row
from inrcodec.bench.curves import Average, Curve, Point, bd_psnr, bd_rate, front, psnr_at


def curve_of(rows: Sequence[Row], item: str, codec: str) -> Curve:
    """The best files of a codec on an item, by bytes; exact copies have no PSNR and are left out."""
    return front(Point(row.bytes, row.psnr) for row in rows if row.item == item and row.codec == codec and row.psnr is not None)


def distances(rows: Sequence[Row], items: Sequence[str], peers: Sequence[str]) -> list[dict[str, Any]]:
    """For each of our files each peer's PSNR at as many bytes, and ours less theirs in dB: positive is better. None comes with a reason."""
    found = []
    for item in items:
        curves = {peer: curve_of(rows, item, peer) for peer in peers}
        for row in rows:
            if row.item == item and row.codec == OURS:
                at = {peer: _distance(row, curve) for peer, curve in curves.items()}
                found.append({"item": item, "parameter": row.parameter, "bytes": row.bytes, "psnr": row.psnr, "peers": at})
    return found


def averages(rows: Sequence[Row], items: Sequence[str], peers: Sequence[str]) -> dict[str, Any]:
    """BD-rate in percent and BD-PSNR in dB of ours against each peer: per item, and the mean over the items that have one.

    Items without a value are named with the reason.
    """
    per_item, mean = [], {}
    for peer in peers:
        pairs = {item: (curve_of(rows, item, OURS), curve_of(rows, item, peer)) for item in items}
        rates = {item: bd_rate(ours, theirs) for item, (ours, theirs) in pairs.items()}
        levels = {item: bd_psnr(ours, theirs) for item, (ours, theirs) in pairs.items()}
        per_item += [
            {"item": item, "peer": peer, "bd_rate_percent": _rounded(rates[item]), "bd_psnr_db": _rounded(levels[item])} for item in items
        ]
        mean[peer] = {"bd_rate_percent": _mean(rates), "bd_psnr_db": _mean(levels)}
    return {"per_item": per_item, "mean": mean}


def _distance(row: Row, curve: Curve) -> dict[str, Any]:
    found = psnr_at(curve, row.bytes)
    if found.psnr is None or row.psnr is None:
        return {"psnr": None, "distance_db": None, "why": found.why or "our file is an exact copy"}
    return {"psnr": round(found.psnr, 4), "distance_db": round(row.psnr - found.psnr, 4), "why": None}


def _rounded(average: Average) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(average).items()}


def _mean(averages: dict[str, Average]) -> dict[str, Any]:
    values = [average.value for average in averages.values() if average.value is not None]
    return {
        "value": round(fmean(values), 4) if values else None,
        "items": len(values),
        "left_out": {item: average.why for item, average in averages.items() if average.value is None},
    }
