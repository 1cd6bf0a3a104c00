"""A Ray cluster, or one of this machine's processes."""

import os
import socket
from typing import Any

from inrcodec.batch.pool import AnyTask, Work
from inrcodec.batch.tasks import Result
from inrcodec.errors import BackendMissing

_PATIENCE = 10.0  # seconds


class RayPool:
    """Tasks on the cluster at `address`, or on one made here for `jobs` tasks; each has `threads` CPUs and `gpus` GPUs or a part of one."""

    def __init__(self, jobs: int | None, *, threads: int, gpus: float, address: str | None, work: Work) -> None:
        self._ray = _ray()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _connect(self._ray, jobs, threads, address or os.environ.get("RAY_ADDRESS"))
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        self.places = jobs or max(1, cores // threads)
        # Lost workers are counted by who starts the tasks, as they are for every executor.
        self._remote = self._ray.remote(work).options(num_cpus=threads, num_gpus=gpus, max_retries=0)
        self._running: dict[Any, int] = {}

    def start(self, number: int, task: AnyTask) -> None:
        self._running[self._remote.remote(task)] = number

    def finished(self) -> tuple[int, Result | None]:
        done = self._ray.wait(list(self._running), num_returns=1)[0][0]
        number = self._running.pop(done)
        try:
            result: Result = self._ray.get(done)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError:
            return number, None
        return number, result

    def close(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._ours:
            self._ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise BackendMissing("--executor ray needs Ray, which is not installed; install it with: pip install 'inrcodec[ray]'") from error
    return ray


def _connect(ray: Any, jobs: int | None, threads: int, address: str | None) -> None:
    if address is None:
        ray.init(
            address="local",
            num_cpus=None if jobs is None else jobs * threads,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
        )
        return
    try:
        _reach(address)
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, RuntimeError, ValueError) as error:
        raise BackendMissing(f"--executor ray: no cluster at {address}: {error}") from error


def _reach(address: str) -> None:
    """Raise OSError where nothing listens at a host and port, for which Ray itself waits many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
