"""Rewrite a file without zstd: the same parameters bit for bit, in a few bytes more, for decoders that have none.

    python -m tools.plain IN.inr OUT.inr

Symbols of codec 2 become codec 1, values of codec 5 codec 0. A mask of missing samples has no other codec: such files are refused.
"""

import argparse
import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path

from conformance import minidecoder
from inrcodec import container


def plain(data: bytes) -> bytes:
    found = container.load(data)
    head, specs = minidecoder.read_head(minidecoder.read_chunks(data)[0][1], icc=True), []
    if "valid" in head["out"]:
        raise ValueError("missing samples are a zstd frame, which has no other form")
    specs = minidecoder.read_net(head)["tensors"]
    ends = [0, *itertools.accumulate(length for _, length in head["tens"])]
    parts = [found.data[start:end] for start, end in itertools.pairwise(ends)]
    tensors = [(codec, part) for (codec, _), part in zip(head["tens"], parts, strict=True)]
    for k, (_, shape, axis) in enumerate(specs):
        codec, part = tensors[k]
        groups = 1 if axis < 0 else shape[axis]
        if codec == 2:
            rest = minidecoder.zstd(part[groups + 1 :], math.prod(shape) * part[groups])
            tensors[k] = 1, part[: groups + 1] + rest
        elif codec == 5:
            tensors[k] = 0, minidecoder.zstd(part, 4 * math.prod(shape))
    head = {**found.head, "tens": [[codec, len(part)] for codec, part in tensors]}
    return container.dump(replace(found, head=head, data=b"".join(part for _, part in tensors)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments)
    options.out.write_bytes(plain(options.source.read_bytes()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
