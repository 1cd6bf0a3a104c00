"""Volumes in Zarr arrays of version 2 and 3, folders and zip files, through zarr."""

import hashlib
import math
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import BackendMissing, InputError, InrError, LimitExceeded
from inrcodec.files import file_digest
from inrcodec.limits import Limits
from inrcodec.signals.stores import Box, covering, slices
from inrcodec.signals.volume_formats import Volume, check_dtype, check_shape

_METADATA = ("zarr.json", ".zarray", ".zgroup")
_NAMES = ("data", "0", "arr_0")  # what of several arrays is read; "0" is the finest level of OME-Zarr
# What turns bytes into numbers and does nothing else; numcodecs also has one that runs code.
_CODECS = frozenset(
    [
        "adler32",
        "astype",
        "bitround",
        "blosc",
        "bytes",
        "bz2",
        "crc32",
        "crc32c",
        "delta",
        "fixedscaleoffset",
        "fletcher32",
        "gzip",
        "lz4",
        "lzma",
        "packbits",
        "pcodec",
        "quantize",
        "sharding_indexed",
        "shuffle",
        "transpose",
        "zfpy",
        "zlib",
        "zstd",
    ]
)
_READ = 1 << 20


def is_zarr(name: str) -> bool:
    """Whether a folder or a zip file holds a Zarr array or group at its top."""
    try:
        if os.path.isdir(name):
            return any(os.path.isfile(os.path.join(name, file)) for file in _METADATA)
        if not os.path.isfile(name) or not zipfile.is_zipfile(name):
            return False
        with zipfile.ZipFile(name) as archive:
            return not {*_METADATA}.isdisjoint(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


@dataclass(frozen=True)
class ZarrStore:
    """An array at `key` of a folder or a zip file, opened for every box. Chunks that are not there are the fill value."""

    path: str
    key: str
    shape: tuple[int, ...]
    stored: str
    chunk: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.stored)

    def read(self, box: Box) -> NDArray[Any]:
        with _opened(self.path) as group:
            array = group[self.key] if self.key else group
            if (array.shape, array.dtype) != (self.shape, self.dtype):
                raise InputError(f"{self.path}: expected {self.dtype} samples of {self.shape}, got {array.dtype} of {array.shape}")
            return np.asarray(array[slices(box)])

    def boxes(self) -> Iterator[Box]:
        return covering(self.shape, self.chunk)


def zarr_store(name: str, limits: Limits) -> tuple[ZarrStore, tuple[str, ...]]:
    """The array of a Zarr folder or zip file, that named data, 0 or arr_0 of several, and a note of what was left out.

    Raises InputError for codecs that are not known to be harmless, LimitExceeded for chunks that do not fit, BackendMissing.
    """
    with _opened(name) as found:
        key, notes = "", tuple[str, ...]()
        if not hasattr(found, "shape"):
            names = sorted(found.array_keys())
            chosen = names if len(names) == 1 else [wanted for wanted in _NAMES if wanted in names]
            if not chosen:
                raise InputError(f"{name}: expected one array, or one named {', '.join(_NAMES)}, got {', '.join(names) or 'none'}")
            key = chosen[0]
            notes = (f"the array {key!r}; left out: {', '.join(n for n in names if n != key)}",) if len(names) > 1 else ()
            found = found[key]
        check_dtype(found.dtype, name)
        if len(found.shape) not in (3, 4):
            raise InputError(f"{name}: a volume: expected an array of 3 axes (z, y, x) or 4 (t, z, y, x), got shape {found.shape}")
        for codec in _codecs(found.metadata.to_dict()):
            if codec.removeprefix("numcodecs.") not in _CODECS:
                raise InputError(f"{name}: Zarr: expected one of the codecs {' '.join(sorted(_CODECS))}, got {codec!r}")
        chunk = tuple(int(n) for n in found.shards or found.chunks)
        if math.prod(chunk) > limits.output_samples:
            raise LimitExceeded(f"{name}: chunks of {chunk}: expected at most {limits.output_samples} samples (Limits.output_samples)")
        return ZarrStore(name, key, tuple(int(n) for n in found.shape), found.dtype.str, chunk), notes


def read_zarr(name: str, limits: Limits) -> Volume:
    """A whole Zarr array of three axes (z, y, x) or four (t, z, y, x)."""
    store, notes = zarr_store(name, limits)
    check_shape(store.shape, name, limits)
    return Volume(array=store.read([(0, n) for n in store.shape]), notes=notes, digest=zarr_digest(name))


def zarr_digest(name: str) -> str:
    """SHA-256, hex: of a zip file's bytes; of a folder's files by name: each its name, a zero, its length, its bytes."""
    root = Path(name)
    if not root.is_dir():
        return file_digest(root)
    digest = hashlib.sha256()
    try:
        for file in sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()):
            digest.update(file.encode() + b"\0" + (root / file).stat().st_size.to_bytes(8, "little"))
            with (root / file).open("rb") as stream:
                while part := stream.read(_READ):
                    digest.update(part)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def _codecs(metadata: Any) -> Iterator[str]:
    """The names of all codecs in the metadata of an array, also those within others."""
    if isinstance(metadata, Mapping):
        for key, value in metadata.items():
            if key == "attributes":
                continue
            if key in ("codecs", "index_codecs", "filters", "compressor"):
                for codec in value if isinstance(value, list | tuple) else [value]:
                    if codec is not None:
                        described = codec if isinstance(codec, Mapping) else codec.get_config()
                        yield str(described.get("name", described.get("id")))
                        yield from _codecs(described)
            else:
                yield from _codecs(value)


@contextmanager
def _opened(name: str) -> Iterator[Any]:
    try:
        import zarr
    except ImportError as error:
        raise BackendMissing("this volume format needs zarr, which is not installed: pip install inrcodec[zarr]") from error
    store: Any = zarr.storage.LocalStore(name, read_only=True) if os.path.isdir(name) else zarr.storage.ZipStore(name, mode="r")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield zarr.open(store, mode="r")
    except InrError:
        raise
    except Exception as error:  # codecs raise nearly anything on damaged files
        raise InputError(f"{name}: damaged or unsupported Zarr: {' '.join(str(error).split()) or type(error).__name__}") from error
    finally:
        store.close()
