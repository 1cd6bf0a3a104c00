"""Write conformance/faulty: small files with one fault each, and faulty.json with the class of error that each must give.

    python -m tools.make_faulty [--out FOLDER]

They are made of the valid files of small_files.py, small_residuals.py and small_tiles.py. Existing files are never overwritten.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.faulty_container import container_cases, map_cases
from tools.faulty_head import head_cases, net_cases
from tools.faulty_residual import residual_cases, residual_head_cases
from tools.faulty_tensors import coded_cases, context_cases, frame_cases, stream_cases, tensor_cases, work_cases
from tools.faulty_tiles import index_cases, tile_cases, tiled_head_cases
from tools.small_files import Case

OUT = Path(__file__).resolve().parents[1] / "conformance" / "faulty"


def cases() -> Iterator[Case]:
    tensors = tensor_cases, coded_cases, frame_cases, stream_cases, context_cases, work_cases
    tiles = tiled_head_cases, index_cases, tile_cases
    for part in (container_cases, map_cases, head_cases, net_cases, *tensors, residual_head_cases, residual_cases, *tiles):
        yield from part()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    listing = out / "faulty.json"
    known = json.loads(listing.read_text()) if listing.exists() else {}
    for case in cases():
        path = out / f"{case.name}.inr"
        if path.exists():
            if path.read_bytes() != case.data:
                print(f"{path}: exists with other bytes, left as it is", file=sys.stderr)
            continue
        path.write_bytes(case.data)
        known[case.name] = {"class": case.error, "about": case.about}
    listing.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
