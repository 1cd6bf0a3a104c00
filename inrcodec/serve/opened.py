"""Opened .inr files by id, the least used of them forgotten when all together hold too many bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from inrcodec.decoder import Inr
from inrcodec.limits import Limits
from inrcodec.opening import open_inr

OVERHEAD = 1 << 16  # bytes that an opened file takes beside its parameters


class Opened:
    """May be asked by several threads; a file is opened once at a time."""

    def __init__(self, place: Callable[[str], Path], *, most: int, limits: Limits, backend: str, device: str) -> None:
        self._place, self._most, self._limits = place, most, limits
        self._backend, self._device = backend, device
        self._held: OrderedDict[str, tuple[Inr, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}

    def __call__(self, name: str) -> Inr:
        """Raises what `open_inr` raises, and Refused (404)."""
        path = self._place(name)
        with self._lock:
            if name in self._held:
                self._held.move_to_end(name)
                return self._held[name][0]
            one = self._opening.setdefault(name, threading.Lock())
        with one:
            with self._lock:
                if name in self._held:
                    return self._held[name][0]
            inr = open_inr(path, backend=self._backend, device=self._device, limits=self._limits)
            size = OVERHEAD + path.stat().st_size + 4 * int(inr.info["parameters"])
            with self._lock:
                self._held[name] = (inr, size)
                self._opening.pop(name, None)
                while len(self._held) > 1 and sum(each for _, each in self._held.values()) > self._most:
                    self._held.popitem(last=False)
        return inr

    def __len__(self) -> int:
        return len(self._held)

    @property
    def nbytes(self) -> int:
        with self._lock:
            return sum(size for _, size in self._held.values())

    def held(self, name: str) -> Inr | None:
        """The file where it is open already; nothing is read."""
        with self._lock:
            if name not in self._held:
                return None
            self._held.move_to_end(name)
            return self._held[name][0]

    def forget(self, name: str) -> None:
        with self._lock:
            self._held.pop(name, None)
