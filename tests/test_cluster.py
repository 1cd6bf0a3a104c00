"""Real clusters of this machine's processes: the files of the local executor, also where a worker is killed."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inrcodec.batch import work
from inrcodec.batch.options import EncodeOptions
from inrcodec.batch.pool import Outcome, Pool, Work, outcomes
from inrcodec.batch.run import make_pool
from inrcodec.batch.tasks import Task, find_sources, plan
from inrcodec.batch.tiles import do_tile, encode_tiles
from inrcodec.errors import BackendMissing, UsageError
from tests import batch_work
from tests.nets import smooth_picture
from tests.test_batch import assert_ctrl_c_leaves_whole_files

pytestmark = pytest.mark.cluster
CLUSTERS = ("ray", "dask")


def pool_of(executor: str, function: Work, *, address: str | None = None, jobs: int | None = 2, gpus: float | None = None) -> Pool:
    return make_pool(executor, jobs=jobs, threads=1, gpus=gpus, address=address, work=function)


def run_on(pool: Pool, tasks: tuple[Task, ...], *, retries: int = 2) -> list[Outcome]:
    try:
        return sorted(outcomes(tasks, pool, retries=retries))
    finally:
        pool.close()


@pytest.fixture
def tasks(tmp_path: Path) -> tuple[Task, ...]:
    """Four pictures; whoever takes "fatal" first is killed, where the work says so."""
    codes = np.floor(smooth_picture(20, 26) * 255 + 0.5).astype(np.uint8)
    for i, name in enumerate(("a", "b", "c", "fatal")):
        Image.fromarray(np.roll(codes, 5 * i, axis=0)).save(tmp_path / f"{name}.png")
    sources = find_sources([str(tmp_path)], stdin=())
    return plan(sources, EncodeOptions(settings={"steps": "8"}, threads=1), str(tmp_path / "out"))


@pytest.mark.parametrize("executor", CLUSTERS)
def test_files_are_those_of_the_local_executor_though_a_worker_dies(executor: str, tasks: tuple[Task, ...]) -> None:
    found = run_on(pool_of(executor, batch_work.die_once), tasks)
    assert Path(tasks[3].source + ".tried").exists()
    assert all(one.result.error is None for one in found), found
    assert len({one.result.worker for one in found}) > 1
    local = run_on(pool_of("local", work.do), tasks)
    assert [one.result.data for one in found] == [one.result.data for one in local]
    assert len({one.result.data for one in found}) == 4


@pytest.mark.parametrize("executor", CLUSTERS)
def test_a_task_that_kills_every_worker_fails_alone(executor: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (task,) = plan(find_sources([str(tmp_path / "a")], stdin=()), EncodeOptions(), str(tmp_path / "out"))
    (found,) = run_on(pool_of(executor, batch_work.die), (task,), retries=0)
    assert found.result.error == "WorkerDied" and found.attempts == 1


def test_a_dask_scheduler_that_runs(tasks: tuple[Task, ...]) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        pool = pool_of("dask", batch_work.quick, address=cluster.scheduler_address, jobs=None)
        assert pool.places == 2
        assert [one.result.error for one in run_on(pool, tasks)] == [None] * 4
        assert len(cluster.scheduler_info["workers"]) == 2  # it is left as it was
    wide = LocalCluster(n_workers=1, threads_per_worker=3, processes=False, dashboard_address=None)
    with wide as cluster, pytest.raises(UsageError, match="one thread .* got 3"):
        pool_of("dask", batch_work.quick, address=cluster.scheduler_address)


def test_a_ray_cluster_that_runs(tasks: tuple[Task, ...]) -> None:
    import ray

    ray.init(address="local", num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        pool = pool_of("ray", batch_work.quick, jobs=None, gpus=0.25)
        assert pool.places == 3
        assert [one.result.error for one in run_on(pool, tasks)] == [None] * 4
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@pytest.mark.parametrize("executor", CLUSTERS)
def test_ctrl_c_on_the_command_line(executor: str, tmp_path: Path) -> None:
    assert_ctrl_c_leaves_whole_files(tmp_path, "--executor", executor)


@pytest.mark.parametrize(("executor", "address"), [("ray", "127.0.0.1:1"), ("dask", "tcp://127.0.0.1:1")])
def test_a_cluster_that_is_not_there(executor: str, address: str) -> None:
    import dask

    patience = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with patience, pytest.raises(BackendMissing, match=f"{executor}: no .* at {address}"):
        pool_of(executor, batch_work.quick, address=address)


@pytest.mark.parametrize("executor", CLUSTERS)
def test_tiles_of_one_picture(executor: str, tmp_path: Path) -> None:
    codes = np.floor(smooth_picture(40, 70) * 255 + 0.5).astype(np.uint8)
    Image.fromarray(codes).save(tmp_path / "large.png")
    options = EncodeOptions(settings={"steps": "8"}, threads=1, device="cpu")
    for name in (executor, "local"):
        report = encode_tiles(str(tmp_path / "large.png"), tmp_path / f"{name}.inr", options, side=32, pool=partial(pool_of, name, do_tile))
        assert report.tiles > 1
    assert (tmp_path / f"{executor}.inr").read_bytes() == (tmp_path / "local.inr").read_bytes()
