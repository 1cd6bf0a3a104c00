"""The minidecoder and the engines of inrcodec behind the command line of README.md.

python -m conformance.adapter [--backend mini|numpy|torch|onnx] FILE -o OUT
    [--parameters | --samples | --points POINTS | --size M,M --region A:B,A:B]
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance import minidecoder

Opened = Callable[[bytes, type], minidecoder.File]


def main(arguments: list[str] | None = None, opened: Opened = minidecoder.File) -> int:
    """`opened`: the decoder behind the backend `mini`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--backend", "--engine", dest="backend", choices=("mini", "numpy", "torch", "onnx"), default="mini")
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", dest="out", type=Path, required=True)
    for name in ("--parameters", "--samples", "--float64"):
        parser.add_argument(name, action="store_true", help="evaluation in float64, of the minidecoder" if name == "--float64" else None)
    parser.add_argument("--points", type=Path)
    parser.add_argument("--size", type=lambda text: [int(m) for m in text.split(",")])
    parser.add_argument("--region", type=lambda text: [tuple(float(v) for v in part.split(":")) for part in text.split(",")])
    options = parser.parse_args(arguments)
    code, found = of_minidecoder(options, opened) if options.backend == "mini" else of_package(options)
    if code:
        print(f"error: {found.decode()}", file=sys.stderr)
    else:
        options.out.write_bytes(found)
    return code


def of_minidecoder(options: argparse.Namespace, opened: Opened) -> tuple[int, bytes]:
    """0 and what is asked for, or the code and message of an error."""
    try:
        file = opened(options.file.read_bytes(), np.float64 if options.float64 else np.float32)
        if options.parameters:
            return 0, parameters(file.params)
        if options.points:
            return 0, floats(file.at(points(options.points, file.head)))
        values = file.decode(options.size, options.region, numbers=not options.samples)
        return 0, little(values) if options.samples else floats(values)
    except minidecoder.InrError as error:
        return error.code, str(error).encode()


def of_package(options: argparse.Namespace) -> tuple[int, bytes]:
    """As `of_minidecoder`, by an engine of inrcodec."""
    import inrcodec
    from inrcodec.errors import InrError

    try:
        inr = inrcodec.open(options.file, backend=options.backend, device="cpu")
        if options.parameters:
            return 0, parameters(inr.params)
        if options.samples:
            return 0, little(inr.decode())
        if options.points:
            return 0, floats(inr.at(points(options.points, inr.head)))
        return 0, floats(inr.decode(size=options.size, region=options.region, dtype=np.float32))
    except InrError as error:
        return error.exit_code, str(error).encode()


def parameters(params: Mapping[str, NDArray[Any]]) -> bytes:
    return b"".join(f"{name}{list(value.shape)}".encode() + floats(value) for name, value in params.items())


def points(path: Path, head: Mapping[str, Any]) -> NDArray[Any]:
    return np.fromfile(path, "<f8").reshape(-1, len(head["axes"]))


def floats(values: NDArray[Any]) -> bytes:
    return values.astype("<f4").tobytes()


def little(values: NDArray[Any]) -> bytes:
    """Samples in their own type."""
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


if __name__ == "__main__":
    sys.exit(main())
