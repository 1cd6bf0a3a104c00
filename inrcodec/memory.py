"""Keep freed buffers in the process: a step frees and takes the same megabytes again, and fresh pages cost about a quarter of it."""

import ctypes
import sys

M_TRIM_THRESHOLD = -1  # names and numbers of glibc's malloc.h
M_MMAP_THRESHOLD = -3


def keep_freed_memory(limit: int = 1 << 30) -> None:
    """Ask glibc's allocator to keep up to `limit` bytes; elsewhere do nothing. Changes speed only."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, limit)
        mallopt(M_TRIM_THRESHOLD, limit)
