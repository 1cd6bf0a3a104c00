"""The table of jobs, and what a client may ask of an encode."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from inrcodec.batch.options import EncodeOptions, encode_with
from inrcodec.cli.encode_options import encoding_options
from inrcodec.errors import InrError, UsageError
from inrcodec.fit.request import EFFORT_STEPS, PRESETS
from inrcodec.serve.job_options import JobQuery, check
from inrcodec.serve.problems import Refused
from inrcodec.serve.queue import Job, Queue
from inrcodec.serve.watch import Watch
from inrcodec.serve.worker import safe_name
from inrcodec.signals import read_signal

SOURCE = "sha256-" + "0" * 64


def add(queue: Queue, *, source: str = SOURCE, most: int = 1000) -> str:
    return queue.add(name="a", source=source, options={"seed": 1}, most=most, keep=lambda: None).id


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "jobs.sqlite")


def test_a_job_is_claimed_once_whoever_asks(tmp_path: Path) -> None:
    queues = [Queue(tmp_path / "jobs.sqlite") for _ in range(3)]
    wanted = [add(queues[0]) for _ in range(30)]
    found: list[str] = []

    def work(queue: Queue, name: str) -> None:
        while (job := queue.claim(name)) is not None:
            found.append(job.id)

    threads = [threading.Thread(target=work, args=(queue, str(number))) for number, queue in enumerate(queues)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(wanted)


def test_a_job_survives_and_one_that_ran_waits_again(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "jobs.sqlite")
    first, second = add(queue), add(queue)
    assert queue.claim("w").id == first
    queue.close()
    again = Queue(tmp_path / "jobs.sqlite")
    assert again.recover() == 1 and not again.has("w", first)
    found = again.claim("v")
    assert (found.id, found.options, found.attempts) == (first, {"seed": 1}, 1)
    assert again.claim("v").id == second and again.claim("v") is None


def test_what_killed_its_worker_waits_behind_the_others(queue: Queue) -> None:
    first, second = add(queue), add(queue)
    assert queue.claim("w").id == first and queue.give_back("w", first, counted=True)
    assert queue.claim("w").id == second and queue.give_back("w", second, counted=False)
    assert [queue.claim("w").id for _ in range(2)] == [second, first]


def test_a_worker_that_lost_its_job_changes_nothing(queue: Queue) -> None:
    job = add(queue)
    queue.claim("w")
    assert queue.cancel(job).state == "running"
    queue.beat("w", job, {"step": 1})
    assert not queue.finish("w", job, object=SOURCE, report={}) and not queue.give_back("w", job, counted=True)
    assert queue.get(job).state == "cancelled" and queue.get(job).progress is None
    assert queue.cancel(job) is None and queue.forget(job).id == job and queue.get(job) is None


def test_a_job_whose_source_cannot_be_kept_is_not_accepted(queue: Queue) -> None:
    def full() -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        queue.add(name="a", source=SOURCE, options={}, most=9, keep=full)
    assert queue.newest() == []


def test_more_jobs_than_may_wait_are_sent_away(queue: Queue) -> None:
    add(queue, most=1)
    with pytest.raises(Refused, match="1 wait") as caught:
        add(queue, most=1)
    assert caught.value.status == 429 and int(caught.value.headers["Retry-After"]) > 0
    queue.claim("w")
    add(queue, most=1)


def test_a_source_is_released_when_nothing_needs_it(queue: Queue) -> None:
    removed: list[str] = []
    jobs = [add(queue) for _ in range(2)]

    def release(there: bool) -> bool:
        return queue.release(SOURCE, lambda: removed.append(SOURCE), is_made_of_it=lambda _: there)

    queue.cancel(jobs[0])
    assert not release(False)
    queue.claim("w")
    queue.finish("w", jobs[1], object="sha256-1", report={})
    assert not release(False)
    assert queue.forget(jobs[1]) is not None and not release(True) and removed == []
    assert release(False) and removed == [SOURCE]


def test_listeners_share_the_looks_at_the_table(queue: Queue) -> None:
    ids, looks = [add(queue) for _ in range(2)], 0

    def look(wanted: Sequence[str]) -> Mapping[str, Job]:
        nonlocal looks
        looks += 1
        if looks == 3:
            queue.cancel(ids[0])
            queue.cancel(ids[1])
            queue.forget(ids[1])
        return queue.some(wanted)

    async def listen(watch: Watch, id: str) -> list[str | None]:
        job = queue.get(id)
        return [None if seen is None else seen.state async for seen in watch.changes(job, silence=0.3)]

    async def listen_all() -> list[list[str | None]]:
        watch = Watch(look)
        return await asyncio.gather(*(listen(watch, id) for id in ids for _ in range(100)))

    found = asyncio.run(listen_all())
    assert all(each[0] == "queued" and each[-1] == "cancelled" and None in each for each in found[:100])
    assert all(set(each) == {"queued", None} for each in found[100:])
    assert looks == 3


def test_listeners_are_let_go_when_the_server_ends(queue: Queue) -> None:
    job = queue.get(add(queue))

    async def listen() -> list[Job | None]:
        watch = Watch(queue.some)
        asyncio.get_running_loop().call_later(0.1, watch.close)
        return [seen async for seen in watch.changes(job, silence=60)]

    assert asyncio.run(listen()) == [job]


def test_a_table_of_another_version_is_refused(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "jobs.sqlite")
    queue._db.execute("PRAGMA user_version = 7")
    queue.close()
    with pytest.raises(InrError, match="schema version: expected 1, got 7"):
        Queue(tmp_path / "jobs.sqlite")


def test_only_a_suffix_of_a_name_is_used() -> None:
    given = ("a.PNG", "b.nii.gz", "../../etc/passwd", "x.raw", "x.json", "a.p/g", "a." + "x" * 99, "frames/%04d.png", "")
    assert [safe_name(name) for name in given] == ["source.png", "source.nii.gz", *["source"] * 5, "source.png", "source"]


@pytest.mark.parametrize(
    "options",
    [
        EncodeOptions(quality=50, psnr=30),
        EncodeOptions(bpp=1, size=1000),
        EncodeOptions(lossless=True, max_error="1"),
        EncodeOptions(lossless=True, size=1000),
        EncodeOptions(max_error="1%", psnr=30),
        EncodeOptions(max_error="much"),
        EncodeOptions(max_error="-1"),
        EncodeOptions(metric="ssim", psnr=30),
        EncodeOptions(arch="nonsense"),
        EncodeOptions(kind="image", start=1.0),
        EncodeOptions(kind="image", frames=2),
        EncodeOptions(kind="image", sign="error"),
    ],
)
def test_what_an_encode_refuses_is_refused_before(options: EncodeOptions) -> None:
    with pytest.raises(UsageError) as caught:
        check(options)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        encode_with(b"P5 2 2 255\n\0\1\2\3", options)


@pytest.mark.parametrize(
    "options",
    [
        EncodeOptions(kind="shape", psnr=30),
        EncodeOptions(kind="shape", lossless=True),
        EncodeOptions(kind="audio", metric="ssim"),
        EncodeOptions(kind="audio", start=2.0, stop=1.0),
    ],
)
def test_what_no_source_of_a_kind_can_be_is_refused(options: EncodeOptions) -> None:
    with pytest.raises(UsageError):
        check(options)


def test_what_an_encode_takes_is_taken() -> None:
    for options in (EncodeOptions(), EncodeOptions(max_error="1%", quality=50), EncodeOptions(kind="shape", size=4000, sign="error")):
        check(options)


def test_a_job_has_the_options_of_the_command_line_but_for_the_servers_own() -> None:
    names = {option.name for option in getattr(encoding_options(lambda: None), "__click_params__", ())}
    assert names - set(JobQuery.model_fields) == {"rate", "settings", "device", "precision", "hash_backend", "threads"}
    assert set(JobQuery.model_fields) - names == {"name"}
    schema = JobQuery.model_json_schema()["properties"]
    assert (schema["effort"]["minimum"], schema["effort"]["maximum"]) == (min(EFFORT_STEPS), max(EFFORT_STEPS))
    assert set(schema["preset"]["anyOf"][0]["enum"]) == set(PRESETS)


def test_a_rate_is_of_no_single_file() -> None:
    picture = np.zeros((2, 2), np.uint8)
    with pytest.raises(UsageError, match="rate"):
        read_signal(b"P5 2 2 255\n" + picture.tobytes(), rate=25.0)
