"""Writing files so that a half-written one never exists."""

import os
import tempfile
from pathlib import Path

from inrcodec.errors import UsageError


def write_atomic(path: str | os.PathLike[str], data: bytes | memoryview, *, overwrite: bool = True) -> None:
    """Write `data` beside `path` (through symbolic links), flush it to the disk and rename it.

    Raises UsageError if `path` exists and is not to be overwritten, OSError if it cannot be written.
    """
    target = Path(path).resolve()
    if not overwrite and target.exists():
        raise UsageError(f"{target}: exists, and is not to be overwritten")
    if target.exists() and not target.is_file():
        # A device or a pipe is written into; a rename would replace it.
        with target.open("wb") as stream:
            stream.write(data)
        return
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:64]}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """The mode of the file replaced, or what the user's mask gives a new one (mkstemp's own is 0600)."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
