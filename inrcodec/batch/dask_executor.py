"""A Dask cluster, or one of this machine's processes."""

from typing import Any

from inrcodec.batch.pool import AnyTask, Work, interrupts_held
from inrcodec.batch.tasks import Result
from inrcodec.errors import BackendMissing, UsageError


class DaskPool:
    """Tasks on the scheduler at `address`, or on a cluster of `jobs` processes made here; `jobs` at a time, by default as many as workers.

    Workers have one thread each: what PyTorch does in one thread is not kept apart from what it does in another.
    """

    def __init__(self, jobs: int | None, *, address: str | None, work: Work) -> None:
        self._distributed = _distributed()
        self._work = work
        self._running: dict[Any, int] = {}
        self._cluster = None
        if address is None:
            with interrupts_held():
                self._cluster = self._distributed.LocalCluster(
                    n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
                )
        try:
            self._client = self._distributed.Client(address or self._cluster, set_as_default=False)
        except OSError as error:
            raise BackendMissing(f"--executor dask: no scheduler at {address}: {error}") from error
        threads = self._client.nthreads()
        wide = next((name for name, count in threads.items() if count != 1), None)
        if wide is not None:
            self.close()
            raise UsageError(f"--executor dask: expected workers of one thread (dask worker --nthreads 1), got {threads[wide]} at {wide}")
        self.places = jobs or max(1, len(threads))

    def start(self, number: int, task: AnyTask) -> None:
        # Without a key made of the arguments the same task may be begun again.
        self._running[self._client.submit(self._work, task, pure=False)] = number

    def finished(self) -> tuple[int, Result | None]:
        with self._client.as_current():
            future = next(iter(self._distributed.wait(list(self._running), return_when="FIRST_COMPLETED").done))
        number = self._running.pop(future)
        try:
            result: Result = future.result()
        except self._distributed.KilledWorker:
            return number, None
        return number, result

    def close(self) -> None:
        self._client.cancel(list(self._running), force=True)
        self._running.clear()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise BackendMissing("--executor dask needs Dask, which is not installed; install it with: pip install 'inrcodec[dask]'") from error
    return distributed
