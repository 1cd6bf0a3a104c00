"""What a decoder refuses to do. A few bytes of .inr can ask for terabytes of output or days of work."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper bounds of a decoder; raise one by passing `Limits(name=value)`.

    Declared sizes are compared with these before anything is allocated.
    """

    head_bytes: int = 1 << 20  # HEAD payload
    chunks: int = 1024  # chunks in a file
    ancillary_bytes: int = 16 << 20  # one ancillary chunk, also after decompression
    tensors: int = 4096  # entries of HEAD.tens
    elements: int = 1 << 28  # elements of all tensors together
    output_samples: int = 1 << 28  # samples of one decode (a sample has all its channels)
    work: int = 200_000_000_000_000  # samples x multiply-accumulates per sample of one decode
    pixels: int = 178_956_970  # pixels of an image to encode (Pillow's own bound)


DEFAULT_LIMITS = Limits()
