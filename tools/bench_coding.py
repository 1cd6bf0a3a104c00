"""What coding costs: the PSNR of a photograph's fit before it is rounded, of a fit without rate, and of the file.

    python -m tools.bench_coding [--photos NAME,...] [--quality Q] [--resume] [--out FILE]

float_psnr       of the fitted parameters as they are, not rounded (their steps 2^12 times as fine)
free_psnr        of a fit of the same network in as many steps that knows of no rate, likewise
psnr             of the file, decoded from its bytes
bits_per_live    bits of the parameters' payloads over parameters that are not 0
bits_per_group   the same over all parameters of groups (rows, columns, features of a level) that have one that is not 0
"""

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inrcodec.assembly import make_file, make_head
from inrcodec.bench.items import Item, Place, read_item
from inrcodec.bench.machine import versions
from inrcodec.bench.quality import code_psnr
from inrcodec.fit.plan import Plan
from inrcodec.fit.request import Request
from inrcodec.fit.sources import data_of, plan_of
from inrcodec.fit.trainer import Fitted, RunOptions, fit
from inrcodec.networks.base import Array, Param
from inrcodec.opening import open_inr
from tools.bench_common import DATA, RESULTS, Results

CROP = (512, 512)
PHOTOS = ("kodim03", "kodim15", "kodim20", "kodim23")
FINER = 4096.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", default=",".join(PHOTOS))
    parser.add_argument("--quality", type=float, default=None)
    parser.add_argument("--resume", action="store_true", help="leave rows that are there")
    parser.add_argument("--out", type=Path, default=RESULTS / "coding_cpu.json")
    options = parser.parse_args()
    results = Results(options.out, (), options.resume)
    results.begin("coding", crop=CROP, quality=options.quality, seed=0, versions=versions(("inrcodec", "torch")))
    for name in options.photos.split(","):
        if results.wanted("coding", name):
            results.put("coding", name, _measured(read_item(Place(name, DATA / "kodak" / f"{name}.png"), "image", CROP), options.quality))
    return 0


def _measured(item: Item, quality: float | None) -> dict[str, Any]:
    signal = item.signal
    shape = tuple(axis.n for axis in signal.axes)
    request = Request(shape=shape, channels=len(signal.channels), arch="sasnet.2", quality=quality, settings={})
    plan = plan_of(signal, request)
    free = replace(plan, target=replace(plan.target, lam=0.0))
    data, fitted = _file(item, plan)
    inr = open_inr(data, backend="numpy")
    live, grouped = _live(plan.network.params(plan.config), dict(inr.params))
    bits = 8 * sum(length for _, length in inr.head["tens"])
    found = {
        "psnr": _psnr(item, data),
        "float_psnr": _psnr(item, _file(item, plan, fitted, finer=FINER)[0]),
        "free_psnr": _psnr(item, _file(item, free, finer=FINER)[0]),
        "bytes": len(data),
        "bpp": 8 * len(data) / math.prod(shape),
        "bits_per_live": bits / live,
        "bits_per_group": bits / grouped,
    }
    return found | {"loss": found["float_psnr"] - found["psnr"], "loss_to_free": found["free_psnr"] - found["psnr"]}


def _file(item: Item, plan: Plan, fitted: Fitted | None = None, *, finer: float = 1.0) -> tuple[bytes, Fitted]:
    """The file of a fit, its steps `finer` times as fine; fitted here if it is not given."""
    device = torch.device("cpu")
    data, offset = data_of(item.signal, plan, seed=0, device=device, parts=2)
    fitted = fitted or fit(data, plan, RunOptions(seed=0, device=device))
    shown = replace(fitted, steps={name: step / np.float32(finer) for name, step in fitted.steps.items()})
    return make_file(make_head(item.signal, plan, data.scale, offset), plan, shown, (), (), 0, ()), fitted


def _psnr(item: Item, data: bytes) -> float:
    found = code_psnr(item.samples, open_inr(data, backend="numpy").decode())
    assert found is not None
    return found


def _live(params: tuple[Param, ...], values: dict[str, Array]) -> tuple[int, int]:
    """Parameters that are not 0, and those of groups that are not all 0."""
    live = grouped = 0
    for param in params:
        value = values[param.name]
        if not param.trainable:
            continue
        live += int(np.count_nonzero(value))
        parts = [value] if param.axis < 0 else np.moveaxis(value, param.axis, 0)
        grouped += sum(part.size for part in parts if part.any())
    return live, grouped


if __name__ == "__main__":
    sys.exit(main())
