"""Measure one table or figure of the SASNet or MSA paper.

    python -m tools.papers NAME --budget smoke|cpu|paper [--out build/papers] [--seeds 3] [--device auto]

Writes NAME.json (rows, curves) and NAME.md: the paper's number, ours, the spread over seeds, in what the protocol differs. smoke takes
seconds, cpu minutes on two cores, paper is the full protocol on a GPU with the papers' data under DATA. Without NAME the names are printed.
LPIPS=FILE, weights of the reference implementation with AlexNet, adds that measure to tables of images of at least 35 pixels a side.
"""

import argparse
import sys
from pathlib import Path

from inrcodec.backends.torch import torch_device
from inrcodec.errors import InrError
from tools.papers import equations, functions, pictures, samples, shapes
from tools.papers.table import BUDGETS

TABLES = {**samples.TABLES, **shapes.TABLES, **functions.TABLES, **equations.TABLES, **pictures.TABLES}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", nargs="?", choices=sorted(TABLES))
    parser.add_argument("--budget", choices=BUDGETS, default="smoke")
    parser.add_argument("--out", type=Path, default=Path("build/papers"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    if options.name is None:
        print("\n".join(sorted(TABLES)))
        return 0
    if options.seeds < 1:
        parser.error(f"--seeds: expected at least 1, got {options.seeds}")
    try:
        report = TABLES[options.name](options.budget, range(options.seeds), torch_device(options.device))
    except InrError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for path in report.save(options.out, options.name):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
