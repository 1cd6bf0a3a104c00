"""Whether a file that a client sends takes longer to unpack than a server has for it.

Counted in numbers of a symbol stream of contexts, half a microsecond each on one core. The limits of readers (work.py) are wider: files
that this server made itself are opened within those alone.
"""

from inrcodec.decoder import Inr
from inrcodec.errors import LimitExceeded
from inrcodec.serve.settings import Bounds
from inrcodec.weights import read_network
from inrcodec.work import budget

WAVEFRONT = 256  # what one costs
ELEMENTS = 32  # so many cost one: parameters, samples of a mask and of a residual
TILE = 1 << 11  # what one costs beside its numbers


def check_cost(inr: Inr, nbytes: int, bounds: Bounds) -> None:
    """Before anything of an open file of `nbytes` is unpacked. Raises LimitExceeded."""
    limits, tiles, needed = bounds.limits(), inr.function.tiles, 0
    network, config = read_network(inr.container.head, limits)
    params, most = network.params(config), min(bounds.coding + bounds.coding_per_byte * nbytes, bounds.coding_most)
    heads = [inr.container.head] if tiles is None else (tiles.part(number).head for number in range(tiles.count))
    for head in heads:
        found = budget(head, params, config, limits, WAVEFRONT)
        needed += (0 if tiles is None else TILE) + found.coding[0] + found.elements[0] // ELEMENTS
        if needed > most:
            raise LimitExceeded(f"work to unpack: expected at most {most} for {nbytes} bytes, got {needed} or more")
