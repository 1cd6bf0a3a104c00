"""Signals: what can be encoded, and where it comes from."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals.base import Modality, Samples, Signal
from inrcodec.signals.image import FORMATS, accepts, image_from_array, read_image
from inrcodec.signals.image_write import SUFFIXES, write_image
from inrcodec.spec import INRIMAGE_SIGNATURE, SIGNATURE

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any]

MODALITIES: tuple[Modality, ...] = (
    Modality("image", ("y", "x"), SUFFIXES, accepts, read_image, write_image),
)  # fmt: skip
_EXPECTED = f"an image ({FORMATS})"


def read_signal(source: Source, *, limits: Limits = DEFAULT_LIMITS, strip: bool = False) -> Signal:
    """The signal in a file (path, bytes or binary file object) or a NumPy array, known by its content, then by its suffix.

    `strip` leaves out EXIF and XMP, and keeps the ICC profile, which is part of what colours mean.
    Raises InputError for what cannot be read, LimitExceeded for what is larger than `limits` allow.
    """
    if isinstance(source, np.ndarray):
        return image_from_array(source, limits=limits)
    data, name = _load(source)
    if not data:
        raise InputError(f"{name}: expected {_EXPECTED}, got an empty file")
    if data.startswith(INRIMAGE_SIGNATURE):
        raise InputError(f"{name}: this is an Inrimage volume; volumes are not supported yet, expected {_EXPECTED}")
    if data.startswith(SIGNATURE):
        raise InputError(f"{name}: this .inr is already encoded; expected {_EXPECTED}")
    head = data[:64]
    for suffix in ("", Path(name).suffix.lower()):
        for modality in MODALITIES:
            if modality.accepts(head, suffix):
                return modality.read(data, name, limits=limits, strip=strip)
    raise InputError(f"{name}: expected {_EXPECTED}, got a file beginning with {data[:8]!r}")


def writer_for(kind: str, suffix: str) -> Callable[[Samples, str], bytes]:
    """The function (samples, suffix) -> bytes for this kind; raises UsageError for an unknown kind or suffix."""
    for modality in MODALITIES:
        if modality.kind == kind:
            if suffix not in modality.suffixes:
                raise UsageError(f"cannot write {kind} as {suffix!r}; expected one of {' '.join(modality.suffixes)}")
            return modality.write
    raise UsageError(f"cannot write signals of kind {kind!r}; expected one of {' '.join(m.kind for m in MODALITIES)}")


def _load(source: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]) -> tuple[bytes, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "<bytes>"
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        try:
            return Path(name).read_bytes(), name
        except FileNotFoundError as error:
            raise InputError(f"{name}: no such file") from error
        except IsADirectoryError as error:
            raise InputError(f"{name}: expected a file, got a directory") from error
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise InputError(f"{name!r}: not a file name: {error}") from error
    if not hasattr(source, "read"):
        raise UsageError(f"expected a path, bytes, a binary file object or a NumPy array, got {type(source).__name__}")
    name = str(getattr(source, "name", "<stream>"))
    try:
        data = source.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read: {error}") from error
    if not isinstance(data, bytes):
        raise InputError(f"{name}: expected a file object opened in binary mode, got one that reads {type(data).__name__}")
    return data, name
