"""Many encodes: what is planned, what is recorded, what survives."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inrcodec.backends import torch as torch_backend
from inrcodec.batch import manifest, work
from inrcodec.batch.local import LocalPool
from inrcodec.batch.manifest import Manifest, parse, read_rows
from inrcodec.batch.options import EncodeOptions, digest, encode_with
from inrcodec.batch.pool import Outcome, Work, outcomes
from inrcodec.batch.run import make_pool
from inrcodec.batch.tasks import Source, Task, find_sources, output_names, plan, source_digest
from inrcodec.cli import main
from inrcodec.cli.encode_options import encoding_options
from inrcodec.errors import BackendMissing, InputError, UsageError
from inrcodec.fit.group import Group
from tests import batch_work
from tests.nets import smooth_picture

ROOT = Path(__file__).resolve().parents[1]
PGM = b"P5 2 2 255\n"


def pgm(path: Path, content: bytes = b"\0\1\2\3") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PGM + content)
    return path


def relatives(names: str) -> list[PurePosixPath]:
    return [PurePosixPath(name) for name in names.split()]


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is planned


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("a.png b.png", "a.inr b.inr"),
        ("a.png a.jpg b.png", "a.png.inr a.jpg.inr b.inr"),
        ("a.png sub/a.jpg", "a.inr sub/a.inr"),
        ("A.png a.jpg", "A.png.inr a.jpg.inr"),
        ("a.png a.jpg a.png.tif", "a.png.inr a.jpg.inr a.png.tif.inr"),
        ("scan.nii.gz noise", "scan.nii.inr noise.inr"),
    ],
)
def test_output_names(given: str, wanted: str) -> None:
    assert output_names(relatives(given)) == wanted.split()
    assert output_names(relatives(given)[::-1]) == wanted.split()[::-1]


def test_names_that_cannot_be_told_apart() -> None:
    with pytest.raises(UsageError, match=r"2 sources would be written as a\.png"):
        output_names(relatives("a.png a.png"))


def test_a_folder_stands_for_what_can_be_read(tmp_path: Path) -> None:
    for name in ("b.pgm", "sub/a.pgm", "out/old.pgm", ".hidden.pgm", ".git/c.pgm"):
        pgm(tmp_path / name)
    for name, content in (("notes.md", b"hello"), ("x.json", b"{}"), ("v.raw", b"12"), ("w.raw", b"12"), ("w.json", b"{}"), ("e.png", b"")):
        (tmp_path / name).write_bytes(content)
    top = str(tmp_path)
    found = find_sources([top], stdin=(), leave_out=str(tmp_path / "out"))
    assert [str(one.relative) for one in found] == ["b.pgm", "w.raw", "sub/a.pgm"]
    assert [str(one.relative) for one in find_sources([top], stdin=(), pattern="sub/*.pgm")] == ["sub/a.pgm"]
    with pytest.raises(InputError, match=r"found none that match \*\.tif"):
        find_sources([top], stdin=(), pattern="*.tif")
    with pytest.raises(InputError, match="no such file"):
        find_sources([top + "/missing"], stdin=())


def test_lists_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pgm(tmp_path / "in" / "a.pgm")
    (tmp_path / "all.txt").write_text("in/a.pgm\n\n/data/b.png\r\n../c d.png\n")
    found = find_sources(["all.txt", "in/a.pgm"], stdin=())
    assert [(one.path, str(one.relative)) for one in found] == [
        ("in/a.pgm", "in/a.pgm"),
        ("/data/b.png", "data/b.png"),
        ("../c d.png", "c d.png"),
    ]
    assert find_sources(["-"], stdin=["x.png\n"]) == [Source("x.png", PurePosixPath("x.png"))]
    (tmp_path / "all.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        find_sources(["all.txt"], stdin=())


def test_a_plan_never_writes_over_a_source(tmp_path: Path) -> None:
    source = Source(str(tmp_path / "a.inr"), PurePosixPath("a.inr"))
    (task,) = plan([source], EncodeOptions(), str(tmp_path / "out"))
    assert task == Task(str(tmp_path / "a.inr"), "a.inr", EncodeOptions())
    with pytest.raises(UsageError, match="other than the input"):
        plan([source], EncodeOptions(), str(tmp_path))


def test_the_digest_of_options_sees_each() -> None:
    other: dict[str, object] = {"int": 3, "float": 0.5, "str": "x", "bool": True, "Mapping": {"a": "1"}}
    seen = {digest(EncodeOptions())}
    for field in dataclasses.fields(EncodeOptions):
        value = other[re.split(r"[ \[]", str(field.type).replace("collections.abc.", "").removeprefix("<class '").rstrip("'>"))[0]]
        seen.add(digest(dataclasses.replace(EncodeOptions(), **{field.name: value})))
    assert len(seen) == len(dataclasses.fields(EncodeOptions)) + 1


def test_the_digest_of_a_source_sees_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "v.raw").write_bytes(b"12")
    (tmp_path / "v.json").write_text('{"shape": [2]}')
    (tmp_path / "d.json").write_text('{"file": "other.bin"}')
    (tmp_path / "other.bin").write_bytes(b"1")
    pgm(tmp_path / "frames" / "1.pgm")
    pgm(tmp_path / "a.pgm")
    watched = {"v.raw": "v.json", "d.json": "other.bin", "frames": "frames/1.pgm", "frames/%d.pgm": "frames/1.pgm", "a.pgm": "a.pgm"}
    before = {name: source_digest(str(tmp_path / name)) for name in watched}
    (tmp_path / "b.pgm").write_bytes((tmp_path / "a.pgm").read_bytes())
    assert before["a.pgm"] == source_digest(str(tmp_path / "b.pgm"))
    for changed in set(watched.values()):
        with open(tmp_path / changed, "ab") as file:
            file.write(b"!")
    assert not any(before[name] == source_digest(str(tmp_path / name)) for name in watched)


def test_every_shared_option_is_one_of_an_encode() -> None:
    declared = getattr(encoding_options(lambda: None), "__click_params__")  # noqa: B009
    assert {option.name for option in declared} == {field.name for field in dataclasses.fields(EncodeOptions)}


# What is recorded


def rows_of(count: int) -> list[dict[str, object]]:
    task = Task("/s/a.png", "a.inr", EncodeOptions())
    result = work.Result("00", b"data", float("inf"), 1.0, "here:1")
    return [manifest.row_of(dataclasses.replace(task, output=f"{i}.inr"), result, 1) for i in range(count)]


def test_a_torn_last_line_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / manifest.NAME
    with Manifest(path) as file:
        for row in rows_of(3):
            file.append(row)
    content = path.read_bytes()
    assert content.count(b"\n") == 3 and json.loads(content.splitlines()[0])["psnr"] is None
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(0, len(content), 7):
        path.write_bytes(content[:cut])
        kept = sum(end <= cut for end in ends)
        assert len(read_rows(path)) == kept
        with Manifest(path) as file:
            assert len(file.rows) == kept
            file.append(rows_of(9)[8])
        assert len(parse(path.read_bytes(), "m")[0]) == kept + 1
    path.write_bytes(content[:-1] + b"\0\0\0\n")
    assert len(read_rows(path)) == 2
    path.write_bytes(b"[]\n" + content)
    with pytest.raises(InputError, match="line 1"):
        read_rows(path)


def test_one_batch_writes_at_a_time(tmp_path: Path) -> None:
    with Manifest(tmp_path / "m"), pytest.raises(UsageError, match="another batch"), Manifest(tmp_path / "m"):
        pass
    with Manifest(tmp_path / "m"):
        pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four sources, one of them unreadable; workers that stand in for encodes."""
    monkeypatch.setattr(work, "do", batch_work.quick)
    monkeypatch.chdir(tmp_path)
    for name, content in (("a.pgm", b"a"), ("b.pgm", b"bad"), ("c.pgm", b"c"), ("sub/a.pgm", b"d")):
        pgm(tmp_path / "in" / name, content)
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["batch", *arguments])
    out, err = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, out, err


def lines_of(folder: Path) -> list[str]:
    return [json.loads(line)["output"] for line in (folder / "out" / manifest.NAME).read_bytes().splitlines()]


def test_what_is_missing_is_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("in", "-o", "out", "--jobs", "1")
    code, out, _ = call(capsys, *arguments, "--dry-run")
    assert code == 0 and out.count("missing  ") == 4 and not (folder / "out").exists()
    code, out, err = call(capsys, *arguments, "--json")
    assert code == 3 and err.count("\n") == 2 and "b.pgm: unreadable" in err and "error: out: 3 encoded, 0 kept, 1 failed; 3.8 kB" in err
    assert [json.loads(line)["output"] for line in out.splitlines()] == ["a.inr", "b.inr", "c.inr", "sub/a.inr"] == lines_of(folder)
    assert set(files_in(folder / "out")) == {"a.inr", "c.inr", "sub/a.inr", manifest.NAME}

    pgm(folder / "in" / "b.pgm", b"good")
    pgm(folder / "in" / "a.pgm", b"changed")
    (folder / "out" / "c.inr").write_bytes(b"damaged")
    code, out, _ = call(capsys, *arguments, "--dry-run", "--json")
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["missing", "missing", "missing", "done"]
    before = files_in(folder / "out")
    code, _, err = call(capsys, *arguments)
    assert (code, err) == (0, "out: 3 encoded, 1 kept, 0 failed; 5.1 kB\n")
    assert lines_of(folder)[4:] == ["a.inr", "b.inr", "c.inr"]
    after = files_in(folder / "out")
    assert after["a.inr"] != before["a.inr"] and after["c.inr"] != before["c.inr"] and after["sub/a.inr"] == before["sub/a.inr"]

    assert "0 encoded, 4 kept" in call(capsys, *arguments)[2] and len(lines_of(folder)) == 7
    assert "4 encoded, 0 kept" in call(capsys, *arguments, "--force")[2] and len(lines_of(folder)) == 11
    assert "4 encoded, 0 kept" in call(capsys, *arguments, "--seed", "1")[2]


def test_a_missed_target_stays_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pgm(folder / "far.pgm", b"far")
    for encoded in (1, 0):
        code, _, err = call(capsys, "far.pgm", "-o", "out", "--jobs", "1")
        assert (
            code == 7
            and "missed (7)" in err
            and f"{encoded} encoded" in err
            and "1 missed" in err
            and (folder / "out" / "far.inr").exists()
        )


def test_faults_of_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").touch()
    for arguments, code, word in (
        (("in", "-o", "file"), 2, "expected a folder"),
        (("missing", "-o", "out"), 3, "no such file"),
        (("in", "-o", "out", "--gpus", "1"), 2, "--executor ray"),
        (("in", "-o", "out", "--address", "tcp://x"), 2, "--address"),
        (("in", "-o", "out", "--size", "big"), 2, "--size"),
    ):
        found, out, err = call(capsys, *arguments)
        assert (found, out, err.count("\n")) == (code, "", 1) and word in err, err


@pytest.mark.parametrize(("executor", "module"), [("ray", "ray"), ("dask", "distributed")])
def test_an_executor_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, executor: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendMissing, match=rf"inrcodec\[{executor}\]") as caught:
        make_pool(executor, jobs=1, threads=1, gpus=None, address=None, work=batch_work.quick)
    assert caught.value.exit_code == 9


# What survives


def run_tasks(
    tasks: tuple[Task, ...],
    function: Work,
    *,
    jobs: int,
    retries: int = 2,
    at_once: int = 1,
    begin: Callable[[], Work] | None = None,
) -> list[Outcome]:
    pool = LocalPool(jobs, threads=1, work=function, at_once=at_once, begin=begin)
    try:
        return sorted(outcomes(tasks, pool, retries=retries))
    finally:
        pool.close()


def quick_tasks(folder: Path, *names: str) -> tuple[Task, ...]:
    return tuple(Task(str(pgm(folder / name, name.encode())), f"{name}.inr", EncodeOptions()) for name in names)


def test_a_dead_worker_is_replaced_and_its_task_done_again(tmp_path: Path) -> None:
    tasks = quick_tasks(tmp_path, "a", "fatal", "c")
    found = run_tasks(tasks, batch_work.quick_die_once, jobs=2)
    assert [one.attempts for one in found] == [1, 2, 1]
    assert [one.result.data for one in found] == [batch_work.quick(task).data for task in tasks]


def test_tries_come_to_an_end(tmp_path: Path) -> None:
    tasks = quick_tasks(tmp_path, "a")
    (found,) = run_tasks(tasks, batch_work.die, jobs=1, retries=1)
    assert found.attempts == 2 and found.result.error == "WorkerDied" and found.result.exit_code == 1
    (found,) = run_tasks(tasks, batch_work.quick_fail_once, jobs=1, retries=0)
    assert found.attempts == 1 and found.result.message == "gone"
    (tmp_path / "a.tried").unlink()
    (found,) = run_tasks(tasks, batch_work.quick_fail_once, jobs=1, retries=1)
    assert found.attempts == 2 and found.result.error is None


def test_fits_side_by_side_in_one_process_give_the_bytes_of_each_alone(tmp_path: Path) -> None:
    options = EncodeOptions(effort=1, threads=1, deterministic=True, settings={"steps": "20"})
    tasks = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        Image.fromarray((smooth_picture(20 + number, 24) * 255).astype(np.uint8)).save(path)
        tasks.append(Task(str(path), f"{number}.inr", options))
    found = run_tasks(tuple(tasks), batch_work.die, jobs=1, at_once=3, begin=work.side_by_side)
    assert len({one.result.worker for one in found}) == 1
    assert [one.result.data for one in found] == [encode_with(task.source, options).data for task in tasks]


def test_tasks_of_a_process_share_a_group_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[Any] = []

    def encode(source: str, options: EncodeOptions, *, group: Any) -> Any:
        groups.append(group)
        raise InputError("seen")

    monkeypatch.setattr(work, "encode_with", encode)
    (task,) = quick_tasks(tmp_path, "a")
    for device in ("cpu", "cuda"):
        monkeypatch.setattr(torch_backend, "torch_device", lambda _, device=device: torch.device(device))
        done = work.side_by_side()
        assert [done(task).message for _ in range(2)] == [f"{task.source}: seen"] * 2
    work.do(task)
    assert groups[:2] == [None, None] and groups[4] is None
    assert isinstance(groups[2], Group) and groups[3] is groups[2]


def test_workers_with_several_tasks_share_them_out_and_lose_all_when_they_die(tmp_path: Path) -> None:
    tasks = quick_tasks(tmp_path, "a", "fatal", "c", "d", "e")
    found = run_tasks(tasks, batch_work.quick_die_once, jobs=2, at_once=2)
    assert found[1].attempts == 2 and all(one.attempts <= 2 for one in found)
    assert [one.result.data for one in found] == [batch_work.quick(task).data for task in tasks]


def test_several_at_once_are_of_processes_of_this_machine() -> None:
    with pytest.raises(UsageError, match="--jobs-per-device: expected --executor local, got ray"):
        make_pool("ray", jobs=1, threads=1, gpus=None, address=None, work=batch_work.quick, at_once=2)
    assert make_pool("local", jobs=None, threads=1, gpus=None, address=None, work=batch_work.quick, at_once=4).places == 4


def test_a_worker_that_dies_idle_is_replaced(tmp_path: Path) -> None:
    (task,) = quick_tasks(tmp_path, "a")
    pool = LocalPool(1, threads=1, work=batch_work.quick)
    try:
        pool.start(0, task)
        _, result = pool.finished()
        assert result is not None
        os.kill(int(result.worker), signal.SIGKILL)
        os.waitid(os.P_PID, int(result.worker), os.WEXITED | os.WNOWAIT)
        pool.start(1, task)
        number, again = pool.finished()
        assert number == 1 and again is not None and again.data == result.data and again.worker != result.worker
    finally:
        pool.close()


def start_cli(folder: Path, *arguments: str, pause: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), batch_work.PAUSE: pause}
    # Where the tests run in the background of a shell, processes are born deaf to Ctrl-C.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code += f"; from tests.batch_work import run_cli; run_cli('quick', {['batch', *arguments]!r})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment, stderr=subprocess.PIPE, start_new_session=True)


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_killed_and_resumed_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    for i in range(8):
        pgm(tmp_path / "in" / f"{i}.pgm", str(i).encode())
    record = tmp_path / "out" / manifest.NAME
    for lines in (1, 4):
        process = start_cli(tmp_path, "in", "-o", "out", "--jobs", "2", pause="0.15")
        wait_for_lines(record, lines, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.communicate()
    with open(record, "ab") as file:
        file.write(b'{"source": "/torn')
    (tmp_path / "out" / ".0.inr.abcdefgh.tmp").write_bytes(b"half")
    workers = {int(row["worker"]) for row in read_rows(record).values()}
    process = start_cli(tmp_path, "in", "-o", "out", "--jobs", "2", pause="0")
    _, err = process.communicate()
    assert process.returncode == 0, err
    rows = parse(record.read_bytes(), "m")[0]
    assert sorted(row["output"] for row in rows) == [f"{i}.inr" for i in range(8)]
    wanted = {f"{i}.inr": batch_work.quick(Task(str(tmp_path / "in" / f"{i}.pgm"), "", EncodeOptions())).data for i in range(8)}
    assert {name: data for name, data in files_in(tmp_path / "out").items() if name != manifest.NAME} == wanted
    while any(is_alive(pid) for pid in workers):
        time.sleep(0.01)


def assert_ctrl_c_leaves_whole_files(folder: Path, *options: str) -> None:
    """Press it when the first task is done, of so many that a slow machine is not at the end of them by then."""
    tasks = 60
    for i in range(tasks):
        pgm(folder / "in" / f"{i}.pgm", str(i).encode())
    process = start_cli(folder, "in", "-o", "out", "--jobs", "2", *options, pause="0.5")
    wait_for_lines(folder / "out" / manifest.NAME, 1, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers too
    _, err = process.communicate()
    assert process.returncode == 130 and err.startswith(b"error: interrupted; ") and err.count(b"\n") == 1, err
    rows = read_rows(folder / "out" / manifest.NAME)
    assert set(files_in(folder / "out")) == {*rows, manifest.NAME} and len(rows) < tasks


def test_ctrl_c_ends_at_once_and_leaves_whole_files(tmp_path: Path) -> None:
    assert_ctrl_c_leaves_whole_files(tmp_path)


# What comes out


def test_a_failure_names_its_source(tmp_path: Path) -> None:
    source = str(pgm(tmp_path / "a.pgm"))
    refused = work.do(Task(source, "a.inr", EncodeOptions(quality=101)))
    assert (refused.error, refused.exit_code, refused.again) == ("UsageError", 2, False) and str(refused.message).startswith(f"{source}: ")
    gone = work.do(Task(source + "x", "a.inr", EncodeOptions()))
    assert (gone.error, gone.exit_code, gone.message) == ("InputError", 3, f"{source}x: no such file")
    unreadable = work.do(Task(source + "\0", "a.inr", EncodeOptions()))
    assert (unreadable.error, unreadable.exit_code, unreadable.again) == ("ValueError", 1, True)


def test_files_are_those_of_encode_however_many_work(tmp_path: Path) -> None:
    """Two processes, this one, and an encode on as many threads; a file that is damaged among them."""
    codes = np.floor(smooth_picture(20, 26) * 255 + 0.5).astype(np.uint8)
    for i in range(2):
        Image.fromarray(np.roll(codes, 7 * i, axis=0)).save(tmp_path / f"{i}.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "0.png").read_bytes()[:80])
    options = EncodeOptions(settings={"steps": "6"}, threads=1)
    sources = find_sources([str(tmp_path)], stdin=())
    tasks = plan(sources, options, str(tmp_path / "out"))
    found = [one.result for one in run_tasks(tasks, work.do, jobs=2)]
    assert [one.error for one in found] == [None, None, "InputError"] and "cut.png: truncated" in str(found[2].message)
    assert found[0].worker != found[1].worker
    alone = [work.do(task) for task in tasks]
    assert [one.data for one in found] == [one.data for one in alone]
    assert found[1].data == encode_with(tmp_path / "1.png", options).data
    assert found[0].data != found[1].data
