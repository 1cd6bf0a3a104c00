"""Jobs over HTTP: what is accepted is done, whatever is killed meanwhile; what is cancelled leaves nothing."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inrcodec.batch.options import EncodeOptions, encode_with
from inrcodec.codec import open_inr
from inrcodec.serve import service
from inrcodec.serve.encoder import Encoder, lock
from inrcodec.serve.settings import Bounds, Settings
from tests import job_work
from tests.served import Client, Reply, served

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0


def picture() -> bytes:
    out = io.BytesIO()
    Image.fromarray((np.add.outer(np.arange(16), np.arange(16)) * 8).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def wanted(**said: Any) -> bytes:
    """A source for job_work.counted."""
    return json.dumps(said).encode()


@contextmanager
def counting(folder: Path, **said: Any) -> Iterator[tuple[Client, Encoder]]:
    """A server whose jobs are those of job_work.counted."""
    made: list[Encoder] = []

    def make(*parts: Any) -> Encoder:
        made.append(Encoder(*parts, encode=job_work.counted))
        return made[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "Encoder", make)
        with served(Settings(folder=folder, **said)) as client:
            yield client, made[0]


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Encoder]]:
    with counting(tmp_path_factory.mktemp("counted"), bounds=Bounds(jobs=2)) as found:
        yield found


def post(client: Client, source: bytes, query: str = "") -> str:
    reply = client.post(f"/v1/jobs?{query}", source)
    assert reply.status == 202, reply.body
    assert client.location(reply) == f"/v1/jobs/{reply.json['id']}" and reply.json["state"] == "queued"
    return str(reply.json["id"])


def job(client: Client, id: str) -> Any:
    return client.get(f"/v1/jobs/{id}").json


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def step(client: Client, id: str) -> int:
    progress = job(client, id)["progress"]
    return 0 if progress is None else int(progress["step"])


def events(reply: Reply) -> list[tuple[str, Any]]:
    """(event, data) in order; comments are left out."""
    assert reply.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in reply.body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def ended(client: Client, id: str) -> Any:
    return events(client.get(f"/v1/jobs/{id}/events"))[-1][1]


def leftovers(folder: Path) -> list[str]:
    """Files of jobs that ended without an object, but for those of the table."""
    return [path.name for part in ("sources", "checkpoints") for path in (folder / part).rglob("*") if path.is_file()]


# A real encode


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        with served(Settings(folder=tmp_path_factory.mktemp("real"), bounds=Bounds(source_bytes=1 << 16))) as client:
            yield client


def test_a_picture_becomes_an_object(real: Client) -> None:
    id = post(real, picture(), "name=a.png&effort=1&deterministic=true&seed=3")
    told = events(real.get(f"/v1/jobs/{id}/events", Last_Event_ID="7"))
    assert [event for event, _ in told] == ["progress"] * (len(told) - 1) + ["end"]
    order = ["queued", "running", "succeeded"]
    states = [order.index(each["state"]) for _, each in told]
    assert states == sorted(states) and states[-1] == 2
    last = told[-1][1]
    assert last == job(real, id) and last["report"]["target_met"] is True and last["problem"] is None
    data = real.get(last["links"]["file"]).body
    assert data == encode_with(picture(), EncodeOptions(effort=1, deterministic=True, seed=3, threads=1)).data
    assert open_inr(data).decode().shape[:2] == (16, 16)
    entry = real.get(f"/v1/objects/{last['object']}").json
    assert entry["name"] == "a.png" and entry["source"].startswith("sha256-")


def test_a_missed_target_is_told_with_the_object(real: Client) -> None:
    last = ended(real, post(real, picture(), "effort=1&size=64"))
    assert last["state"] == "succeeded" and last["report"]["target_met"] is False and last["object"] is not None


@pytest.mark.parametrize(
    ("source", "name", "told"), [(b"junk", "a.png", "a.png: expected an image"), (picture()[:60], "", "source: ")], ids=["junk", "cut"]
)
def test_what_cannot_be_read_fails_with_the_exit_code_of_the_command_line(real: Client, source: bytes, name: str, told: str) -> None:
    last = ended(real, post(real, source, f"name={name}"))
    assert (last["state"], last["problem"]["error"], last["problem"]["exit_code"]) == ("failed", "InputError", 3)
    assert told in last["problem"]["detail"] and str(ROOT.anchor) + "tmp" not in last["problem"]["detail"]


@pytest.mark.parametrize(
    ("query", "body", "status", "told"),
    [
        ("quality=101", b"x", 400, "quality"),
        ("quality=50&psnr=30", b"x", 400, "at most one of quality, psnr, bpp, size"),
        ("lossless=true&max_error=1", b"x", 400, "lossless"),
        ("arch=nonsense", b"x", 400, "arch"),
        ("effort=ten", b"x", 400, "effort"),
        ("kind=image&frames=2", b"x", 400, "frames"),
        ("max_error=lots", b"x", 400, "max_error"),
        ("time_limit=nan", b"x", 400, "time_limit"),
        ("name=a%0Ab", b"x", 400, "name"),
        ("", b"", 400, "got nothing"),
        ("", bytes((1 << 16) + 1), 413, "expected at most 65536"),
    ],
)
def test_what_is_wrong_is_refused_before_it_is_a_job(real: Client, query: str, body: bytes, status: int, told: str) -> None:
    before = real.get("/v1/jobs").json
    reply = real.post(f"/v1/jobs?{query}", body)
    assert reply.status == status and told in reply.json["detail"] and "\n" not in reply.json["detail"]
    assert real.get("/v1/jobs").json == before


def test_a_job_that_is_not_there(real: Client) -> None:
    for method, target in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        assert real(method, f"/v1/jobs/job-{0:016x}{target}").status == 404
    assert real.get("/v1/jobs/job-..").status == 400


# What stands for one


def test_many_listeners_hear_the_same_end(counted: tuple[Client, Encoder]) -> None:
    client, _ = counted
    id = post(client, wanted(steps=30, seconds=0.02))
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(ended(client, id))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20 and all(each == job(client, id) for each in found)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize(("ending", "attempts"), [(signal.SIGKILL, 2), (signal.SIGTERM, 1)])
def test_a_worker_that_is_killed_does_not_take_its_job_along(
    counted: tuple[Client, Encoder], ending: signal.Signals, attempts: int
) -> None:
    client, encoder = counted
    id = post(client, wanted(steps=60, seconds=0.05, by=ending), "seed=5")
    until(lambda: step(client, id) > 3)
    killed = encoder.pids[0]
    os.kill(killed, ending)
    last = ended(client, id)
    assert last["state"] == "succeeded" and encoder.pids[0] != killed
    assert encoder.queue.get(id).attempts == attempts
    assert int(last["report"]["notes"][0].removeprefix("begun at ")) > 3
    assert json.loads(client.get(last["links"]["file"]).body) == {"seed": 5, "wanted": {"steps": 60, "seconds": 0.05, "by": ending}}
    assert not encoder.checkpoint(id).exists()


def test_a_job_that_kills_its_worker_fails_at_last(counted: tuple[Client, Encoder]) -> None:
    client, encoder = counted
    last = ended(client, post(client, wanted(steps=5, dies=2), "name=bad.png"))
    assert last["state"] == "failed" and last["problem"]["detail"] == "bad.png: its process ended in each of 3 attempts"
    assert not encoder.checkpoint(last["id"]).exists()
    assert ended(client, post(client, wanted(steps=2)))["state"] == "succeeded"


@pytest.mark.parametrize("deaf", [False, True])
def test_a_job_that_runs_is_cancelled(counted: tuple[Client, Encoder], deaf: bool) -> None:
    client, encoder = counted
    source = wanted(steps=10_000, seconds=0.02, deaf=deaf)
    id = post(client, source)
    until(lambda: step(client, id) > 1)
    assert client("DELETE", f"/v1/jobs/{id}").status == 204
    assert job(client, id)["state"] == "cancelled" and ended(client, id)["state"] == "cancelled"
    assert ended(client, post(client, wanted(steps=2)))["state"] == "succeeded"
    assert not encoder.checkpoint(id).exists()
    assert client("DELETE", f"/v1/jobs/{id}").status == 204 and client.get(f"/v1/jobs/{id}").status == 404


def test_those_that_wait_are_cancelled_and_too_many_are_sent_away(counted: tuple[Client, Encoder]) -> None:
    client, _ = counted
    running = post(client, wanted(steps=10_000, seconds=0.02))
    until(lambda: job(client, running)["state"] == "running")
    waiting = [post(client, wanted(steps=1, number=number)) for number in range(2)]
    reply = client.post("/v1/jobs", wanted(steps=1))
    assert reply.status == 429 and int(reply.headers["retry-after"]) > 0
    listed = [each["id"] for each in client.get("/v1/jobs?limit=3").json["jobs"]]
    assert listed == [*waiting[::-1], running]
    for id in (*waiting, running):
        assert client("DELETE", f"/v1/jobs/{id}").status == 204
        assert job(client, id)["state"] == "cancelled"
    assert ended(client, post(client, wanted(steps=1, number=2)))["state"] == "succeeded"


def test_a_page_of_jobs_begins_where_the_one_before_ended(counted: tuple[Client, Encoder]) -> None:
    client, _ = counted
    ids = [ended(client, post(client, wanted(steps=1, page=number)))["id"] for number in range(3)]
    first = client.get("/v1/jobs?limit=2").json
    second = client.get(f"/v1/jobs?limit=1&cursor={first['cursor']}").json
    assert [each["id"] for each in first["jobs"] + second["jobs"]] == ids[::-1]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_the_process_that_encodes_has_no_socket_of_the_server_and_no_file_beside_it(counted: tuple[Client, Encoder]) -> None:
    client, _ = counted
    ours = {os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    found = json.loads(client.get(ended(client, post(client, wanted(tells=True)))["links"]["file"]).body)
    assert found["files"] == []
    assert not ours & set(found["sockets"]) and any(link.startswith("socket:") for link in ours)


def test_what_is_cancelled_or_fails_leaves_no_file_and_what_is_forgotten_leaves_its_source_to_its_object(tmp_path: Path) -> None:
    with counting(tmp_path, bounds=Bounds(jobs_kept=1)) as (client, _):
        cancelled = post(client, wanted(steps=10_000, seconds=0.02))
        until(lambda: step(client, cancelled) > 1)
        client("DELETE", f"/v1/jobs/{cancelled}")
        failed = post(client, b"no JSON")
        assert ended(client, failed)["problem"]["detail"] == "internal error"
        until(lambda: leftovers(tmp_path) == [])
        first = ended(client, post(client, wanted(steps=1, number=1)))
        second = ended(client, post(client, wanted(steps=1, number=2)))
        until(lambda: [each["id"] for each in client.get("/v1/jobs").json["jobs"]] == [second["id"]])
        assert len(leftovers(tmp_path)) == 4
        client("DELETE", f"/v1/objects/{second['object']}")
        assert client("DELETE", f"/v1/jobs/{second['id']}").status == 204
        assert client.get("/v1/jobs").json == {"jobs": [], "cursor": None}
        kept = client.get(f"/v1/objects/{first['object']}/file").body
        assert json.loads(kept)["wanted"]["number"] == 1 and len(leftovers(tmp_path)) == 2


def test_sources_that_no_job_waits_for_make_room(tmp_path: Path) -> None:
    sizes = Bounds(disk_bytes=12_000)
    with counting(tmp_path, bounds=sizes) as (client, encoder):
        first = ended(client, post(client, wanted(steps=1, filler="a" * 4000)))
        assert client.post("/v1/jobs", wanted(filler="b" * 20_000)).status == 413
        assert encoder.queue.get(first["id"]).object == first["object"]
        assert client.get(f"/v1/objects/{first['object']}/file").status == 200
        assert [path for path in (tmp_path / "sources").glob("??/*") if path.stat().st_size > 4000] == []


def test_a_server_that_ends_saves_what_runs_and_goes_on_later(tmp_path: Path) -> None:
    source = wanted(steps=80, seconds=0.05)
    with counting(tmp_path) as (client, _):
        id = post(client, source)
        until(lambda: step(client, id) > 3)
    with served(Settings(folder=tmp_path, read_only=True)) as client:
        assert job(client, id)["state"] == "queued"
        assert client.post("/v1/jobs", source).status == 403 and client("DELETE", f"/v1/jobs/{id}").status == 403
    with counting(tmp_path) as (client, encoder):
        last = ended(client, id)
        assert last["state"] == "succeeded" and int(last["report"]["notes"][0].removeprefix("begun at ")) > 3
        assert encoder.queue.get(id).attempts == 1


def test_one_server_of_a_folder_encodes(tmp_path: Path) -> None:
    with lock(tmp_path / "encoder.lock") as first:
        assert first
        with lock(tmp_path / "encoder.lock") as second:
            assert not second
        with counting(tmp_path) as (client, encoder):
            id = post(client, wanted(steps=1))
            assert job(client, id)["state"] == "queued" and encoder.pids == ()
    with counting(tmp_path) as (client, _):
        assert ended(client, id)["state"] == "succeeded"


# Servers with a process of their own


@contextmanager
def process(folder: Path, encode: str) -> Iterator[tuple[Client, "subprocess.Popen[str]"]]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.job_server", str(folder), encode],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield Client(int(server.stdout.readline())), server
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_is_killed_does_not_take_its_jobs_along(tmp_path: Path, ending: signal.Signals) -> None:
    with process(tmp_path, "counted") as (client, server):
        id, after = post(client, wanted(steps=80, seconds=0.05)), post(client, wanted(steps=1))
        until(lambda: step(client, id) > 3)
        server.send_signal(ending)
        server.wait(PATIENCE)
    with counting(tmp_path) as (client, _):
        last = ended(client, id)
        assert last["state"] == "succeeded" and int(last["report"]["notes"][0].removeprefix("begun at ")) > 3
        assert json.loads(client.get(last["links"]["file"]).body)["wanted"]["steps"] == 80
        assert ended(client, after)["state"] == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
def test_a_fit_that_is_killed_comes_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    query = "effort=1&deterministic=true&quality=60"
    expected = encode_with(picture(), EncodeOptions(effort=1, deterministic=True, quality=60, threads=1)).data
    with process(tmp_path, "often_saved") as (client, server):
        id = post(client, picture(), query)
        until(lambda: step(client, id) > 3)
        (worker,) = children(server.pid)
        os.kill(server.pid if whole else worker, signal.SIGKILL)
        if not whole:
            last = ended(client, id)
            assert client.get(last["links"]["file"]).body == expected
    if whole:
        monkeypatch.setattr(os, "cpu_count", lambda: 1)
        with served(Settings(folder=tmp_path)) as client:
            last = ended(client, id)
            assert last["state"] == "succeeded" and client.get(last["links"]["file"]).body == expected


def children(pid: int) -> list[int]:
    """Processes that encode, of a server."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            told = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and b"spawn_main" in told:
            found.append(int(folder.name))
    return found
