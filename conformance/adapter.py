"""The engines of inrcodec behind the command line of README.md.

python -m conformance.adapter --backend numpy|torch|onnx FILE -o OUT
    [--parameters | --samples | --points POINTS | --size M,M --region A:B,A:B]
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import inrcodec
from inrcodec.errors import InrError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--backend", "--engine", dest="backend", choices=("numpy", "torch", "onnx"), default="numpy")
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", dest="out", type=Path, required=True)
    for name in ("--parameters", "--samples"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--points", type=Path)
    parser.add_argument("--size", type=lambda text: [int(m) for m in text.split(",")])
    parser.add_argument("--region", type=lambda text: [tuple(float(v) for v in part.split(":")) for part in text.split(",")])
    options = parser.parse_args(arguments)
    try:
        options.out.write_bytes(answer(inrcodec.open(options.file, backend=options.backend, device="cpu"), options))
    except InrError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def answer(inr: inrcodec.Inr, options: argparse.Namespace) -> bytes:
    if options.parameters:
        found = ((f"{name}{list(value.shape)}".encode(), value.astype("<f4").tobytes()) for name, value in inr.params.items())
        return b"".join(part for pair in found for part in pair)
    if options.samples:
        samples = inr.decode()
        return samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    if options.points:
        values = inr.at(np.fromfile(options.points, dtype="<f8").reshape(-1, len(inr.head["axes"])))
    else:
        values = inr.decode(size=options.size, region=options.region, dtype=np.float32)
    return values.astype("<f4").tobytes()


if __name__ == "__main__":
    sys.exit(main())
