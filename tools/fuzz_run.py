"""Run readers on many damaged inputs in a process of their own, and say where they fail, take too long or too much memory."""

import multiprocessing
import os
import resource
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from inrcodec.errors import InrError

SECONDS = 2.0  # for one input
MEMORY = 2 << 30  # of address space, beyond what a worker has when it begins
HANG = 60.0  # seconds without an answer, after which a worker is ended
TELL = 0.05  # seconds after which a worker tells what it did
FAILURES = ("crash", "slow", "memory", "died", "hang")


@dataclass(frozen=True)
class Target:
    """A reader: what it is given, and what it does with it. `run` may raise InrError; everything else is a finding.

    make: (generator) -> an input, the same for the same state of the generator.
    """

    name: str
    make: Callable[[Random], bytes]
    run: Callable[[bytes], Any]


@dataclass(frozen=True)
class Finding:
    """An input on which a reader failed; what is one of FAILURES."""

    target: str
    number: int
    what: str
    message: str


@dataclass
class Summary:
    """What became of the inputs of one target; `next` is the number to go on with."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    bytes: int = 0
    next: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, more: "Summary") -> None:
        """What became of the inputs from `next` on."""
        self.inputs, self.bytes, self.next = self.inputs + more.inputs, self.bytes + more.bytes, more.next
        self.slowest = max(self.slowest, more.slowest)
        self.outcomes += more.outcomes

    def told(self) -> dict[str, Any]:
        """Ready for JSON."""
        rate = self.inputs / self.seconds if self.seconds else 0.0
        return {
            "inputs": self.inputs,
            "seconds": round(self.seconds, 2),
            "inputs_per_second": round(rate, 1),
            "slowest_seconds": round(self.slowest, 3),
            "mean_bytes": self.bytes // max(1, self.inputs),
            "next": self.next,
            "outcomes": dict(sorted(self.outcomes.items())),
        }


def input_of(target: Target, seed: int, number: int) -> bytes:
    """The input of this number: it depends on the seed, the target's name and the number alone."""
    return target.make(Random(f"{seed}/{target.name}/{number}"))


def outcome_of(target: Target, data: bytes, *, seconds: float = SECONDS) -> tuple[str, str, float]:
    """(what, message, seconds): what is a finding's, else "accepted" or the name of the error that refused the input."""
    taken = 0.0
    for _ in range(2):  # what is slow once may have been kept from the processor
        begin = time.monotonic()
        try:
            target.run(data)
            what, message = "accepted", ""
        except InrError as error:
            what, message = type(error).__name__, str(error)
        except MemoryError:
            return "memory", traceback.format_exc(limit=-4), time.monotonic() - begin
        except Exception:
            return "crash", traceback.format_exc(limit=-6), time.monotonic() - begin
        taken = time.monotonic() - begin
        if taken <= seconds:
            return what, message, taken
    return "slow", f"{taken:.1f} seconds, then {what}: {message}", taken


def fuzz(
    target: Target,
    *,
    seed: int,
    start: int = 0,
    count: int | None = None,
    duration: float | None = None,
    seconds: float = SECONDS,
    memory: int = MEMORY,
    hang: float = HANG,
) -> tuple[Summary, list[Finding]]:
    """Give `count` inputs from number `start` on to a target, or as many as there is time for in `duration` seconds."""
    input_of(target, seed, start)  # what inputs are made of is made here, once, and whatever is wrong with it is told
    summary, findings, begin = Summary(target.name, next=start), list[Finding](), time.monotonic()
    stop = None if count is None else start + count
    context = multiprocessing.get_context("fork")

    def over() -> bool:
        return (stop is not None and summary.next >= stop) or (duration is not None and time.monotonic() - begin >= duration)

    at = context.RawValue("q", start)
    lost = dict[int, str]()
    while not over():
        ours, theirs = context.Pipe()
        worker = context.Process(target=_work, args=(theirs, at, target, seed, summary.next, stop, lost, seconds, memory), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside other threads, none of which the readers need
            worker.start()
        theirs.close()
        how = _listen(ours, summary, findings, over, hang)
        worker.kill()
        worker.join()
        ours.close()
        if how:
            lost[at.value] = how  # what came before it and was not told yet is done again
    summary.seconds = time.monotonic() - begin
    return summary, findings


def _listen(ours: Connection, summary: Summary, findings: list[Finding], over: Callable[[], bool], hang: float) -> str:
    """Take a worker's answers until all are there or time is over; how it was lost, if it was."""
    while not over():
        try:
            if not ours.poll(hang):
                return "hang"
            done, found = ours.recv()
        except (EOFError, OSError):
            return "died"
        summary.add(done)
        findings += found
        if any(finding.what == "memory" for finding in found):
            break  # go on with a fresh process
    return ""


def _work(
    pipe: Connection, at: Any, target: Target, seed: int, start: int, stop: int | None, lost: dict[int, str], seconds: float, memory: int
) -> None:
    """Answers of many inputs at a time; `at` is the number of the input that is read. `lost`: what became of inputs that ended a worker."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + memory, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    # Libraries of other languages write of what they find wrong wherever they like.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    number = start
    while stop is None or number < stop:
        done, found, begin = Summary(target.name), list[Finding](), time.monotonic()
        while (stop is None or number < stop) and not found and time.monotonic() < begin + TELL:
            at.value, data = number, input_of(target, seed, number)
            if number in lost:
                what, message, taken = lost[number], "the process ended, or gave no answer", 0.0
            else:
                what, message, taken = outcome_of(target, data, seconds=seconds)
            number += 1
            done.inputs, done.bytes, done.slowest, done.next = done.inputs + 1, done.bytes + len(data), max(done.slowest, taken), number
            done.outcomes[what] += 1
            if what in FAILURES:
                found.append(Finding(target.name, number - 1, what, message))
        pipe.send((done, found))


def kept(findings: Sequence[Finding], targets: Sequence[Target], seed: int, folder: Path) -> None:
    """Write every offending input, and what became of it, into a folder."""
    by_name = {target.name: target for target in targets}
    folder.mkdir(parents=True, exist_ok=True)
    for finding in findings:
        path = folder / f"{finding.target}-{seed}-{finding.number}.bin"
        path.write_bytes(input_of(by_name[finding.target], seed, finding.number))
        path.with_suffix(".txt").write_text(f"{finding.what}\n{finding.message}\n")
