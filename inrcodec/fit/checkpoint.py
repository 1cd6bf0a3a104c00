"""Checkpoints of a running fit: written atomically, read without executing anything, bound to the input and the options."""

import io
from pathlib import Path
from typing import Any

import torch

from inrcodec.errors import InputError, UsageError
from inrcodec.files import write_atomic

VERSION = 1


def save_checkpoint(path: Path, key: str, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) under `key`, the hash of input and options."""
    buffer = io.BytesIO()
    torch.save({"version": VERSION, "key": key, "state": state}, buffer)
    write_atomic(path, buffer.getvalue())


def load_checkpoint(path: Path, key: str) -> dict[str, Any]:
    """The state saved under `key`. Raises InputError if unreadable, UsageError if it belongs to another input or other options."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version, found, state = content["version"], content["key"], content["state"]
    except OSError as error:
        raise InputError(f"{path}: cannot read the checkpoint: {error.strerror}") from error
    except Exception as error:
        # torch.load raises whatever its readers raise on damaged bytes.
        raise InputError(f"{path}: not a checkpoint of inrcodec, or damaged") from error
    if version != VERSION:
        raise UsageError(f"{path}: checkpoint version: expected {VERSION}, got {version}")
    if found != key:
        raise UsageError(
            f"{path}: the checkpoint belongs to another input or other options (expected key {key[:12]}, got {str(found)[:12]})"
        )
    return dict(state)
