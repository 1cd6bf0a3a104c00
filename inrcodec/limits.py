"""What a decoder refuses to do. A few bytes of .inr can ask for terabytes of output or days of work."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper bounds of a decoder; raise one by passing `Limits(name=value)`.

    Declared sizes are compared with these before anything is allocated. Parameters and coding work are limited by the length of DATA, so
    that a small file takes little time and memory to read, whatever it states: see inrcodec/work.py. By default all that a file of n bytes
    holds (not what it is evaluated to) takes at most 1 GiB and 96 KiB for each of the n bytes, beside a residual of 4 bytes per number; and
    about 2 seconds and a millisecond for each byte, on one core of 2020.
    """

    head_bytes: int = 1 << 20  # HEAD payload
    chunks: int = 1024  # chunks in a file, but for those of tiles
    tiles: int = 1 << 20
    ancillary_bytes: int = 16 << 20  # one ancillary chunk, also after decompression
    tensors: int = 4096  # entries of HEAD.tens
    map_bytes: int = 1 << 20  # the map of an ancillary chunk
    elements: int = 1 << 28  # elements of all tensors together, those of a mask and of a residual among them
    parameters: int = 1 << 25  # of these the parameters, of any file,
    parameters_per_byte: int = 1 << 12  # and more for each byte of DATA
    coding: int = 1 << 20  # coding work of any file: numbers in symbol streams, and what wavefronts cost
    coding_per_byte: int = 1 << 10  # and more for each byte of DATA
    output_samples: int = 1 << 28  # samples of one decode (a sample has all its channels)
    work: int = 200_000_000_000_000  # samples x multiply-accumulates per sample of one decode
    remote_bytes: int = 1 << 28  # of a remote file of which the server sends no parts
    pixels: int = 178_956_970  # pixels of an image to encode (Pillow's own bound)


DEFAULT_LIMITS = Limits()
