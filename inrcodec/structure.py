"""What a file keeps to without being evaluated: everything in it unpacks, and what it needs is within the limits of readers."""

import hashlib
from dataclasses import asdict
from typing import Any

import numpy as np

from inrcodec.container import Container, dump, load, pack_map, unpack_map
from inrcodec.decoder import Inr
from inrcodec.errors import VerificationFailed
from inrcodec.head import check_head
from inrcodec.inspect import metrics_of, provenance_of
from inrcodec.limits import DEFAULT_LIMITS
from inrcodec.tile_index import pack_index, unpack_index
from inrcodec.weights import read_network
from inrcodec.work import budget


def check_structure(inr: Inr) -> dict[str, Any]:
    """Unpack all that an open file holds; ready for JSON: the SHA-256 of its parameters, what is in it, and what it takes to read and to
    decode beside what readers allow, as pairs.

    Raises CorruptFile, LimitExceeded and UnsupportedFile for what is wrong with its chunks, its tensors or its metadata, and
    VerificationFailed if writing it again would change it.
    """
    container = inr.container
    _check_form(container)
    _check_metadata(inr)
    digest = params_digest(inr)
    missing, added = inr.missing, inr.added
    network, config = read_network(container.head)
    tiles = inr.function.tiles
    heads = [container.head] if tiles is None else (tiles.part(number).head for number in range(tiles.count))
    budgets = [asdict(budget(head, network.params(config), config, DEFAULT_LIMITS)) for head in heads]
    # What is nearest to what readers allow.
    needed = {name: max((each[name] for each in budgets), key=lambda pair: pair[0] / pair[1]) for name in budgets[0]}
    samples = int(np.prod(inr.grid_shape, dtype=object))
    return {
        "parameters_sha256": digest,
        "tensors": len(container.head["tens"]),
        "tiles": None if tiles is None else tiles.count,
        "missing_samples": 0 if missing is None else int(missing.sum()),
        "largest_residual": None if added is None else int(np.abs(added).max(initial=0)),
        **{name: list(pair) for name, pair in needed.items()},
        "decode_work": [samples * network.macs(config), DEFAULT_LIMITS.work],
    }


def params_digest(inr: Inr) -> str:
    """SHA-256 over names, shapes and little-endian float32 values of all parameters: the same on every machine."""
    digest = hashlib.sha256()
    for name, value in inr.params.items():
        digest.update(f"{name}{list(value.shape)}".encode())
        digest.update(np.ascontiguousarray(value, dtype="<f4").tobytes())
    return digest.hexdigest()


def _check_form(container: Container) -> None:
    """HEAD in its one canonical form, and a file that comes back as it is."""
    packed = pack_map(container.head)
    head = unpack_map(packed, "HEAD")
    check_head(head)
    if pack_map(head) != packed:
        raise VerificationFailed("HEAD: expected the same bytes when it is written again")
    if "tiles" in head:
        index = unpack_index(container.tile, head)
        if pack_index(index.tiling.root, index.entries) != container.tile:
            raise VerificationFailed("TILE: expected the same bytes when it is written again")
    elif load(dump(container)) != container:
        raise VerificationFailed("chunks: expected the same when they are written again")


def _check_metadata(inr: Inr) -> None:
    """Ancillary chunks that say something of the file: the colour profile unpacks, maps are maps."""
    inr.metadata()
    metrics_of(inr.container)
    provenance_of(inr.container)
