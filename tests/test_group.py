"""Where threads meet to make steps together, without a fit: who makes what, and that none holds up another."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from inrcodec.fit import group as group_module
from inrcodec.fit.captured import Outputs
from inrcodec.fit.group import Group, Turn
from tests.gathering import PATIENCE, Gathering, side_by_side

CPU = torch.device("cpu")


def turn(key: Any = "a", *, log: list[Any] | None = None, name: Any = None, begin: Any = None, end: Any = None, joint: Any = None) -> Turn:
    """A turn that notes what is done of it."""
    noted = [] if log is None else log

    def begun() -> Outputs:
        noted.append(("begin", name))
        return begin() if begin else (torch.tensor(1.0),)

    def joined(shares: Sequence[Any], owners: tuple[object, ...]) -> torch.Tensor:
        noted.append(("joint", *shares))
        return joint() if joint else torch.arange(len(shares)) + 10.0

    def ended(found: Outputs, own: torch.Tensor) -> Outputs:
        noted.append(("end", name))
        return end() if end else (found[0] + own,)

    return Turn(key=key, begin=begun, share=lambda: name, joint=joined, end=ended)


def test_the_parts_of_a_step_follow_each_other() -> None:
    group, log = Gathering(3), list[Any]()

    def run(name: int) -> Outputs | None:
        with group.joined("net", CPU) as member:
            return member.make(turn(log=log, name=name))

    found = side_by_side([lambda i=i: run(i) for i in range(3)])
    order = log[3][1:]
    assert [part for part, *_ in log] == ["begin"] * 3 + ["joint"] + ["end"] * 3
    assert [name for _, name in log[:3]] == [name for _, name in log[4:]] == list(order)
    assert {order[i]: 11.0 + i for i in range(3)} == {i: float(one[0]) for i, one in enumerate(found)}


def test_a_step_of_its_own_kind_is_made_alone() -> None:
    group, log = Gathering(3), list[Any]()

    def run(name: str) -> Outputs | None:
        with group.joined("net", CPU) as member:
            return member.make(turn(key=name[0], log=log, name=name))

    found = side_by_side([lambda n=n: run(n) for n in ("a1", "b1", "a2")])
    assert found[1] is None and {len(one) for one in (found[0], found[2])} == {1}
    assert ("begin", "b1") not in log


def test_one_alone_waits_for_nobody_and_families_are_forgotten() -> None:
    group = Group()
    with group.joined("net", CPU) as first, group.joined("other net", CPU) as second:
        assert first.make(turn()) is None and second.make(turn()) is None
    assert group._families == {}


def test_nobody_waits_for_who_is_away() -> None:
    group = Group()
    with group.joined("net", CPU) as first, group.joined("net", CPU) as second:
        with second.away():
            assert first.make(turn()) is None
        waiting = threading.Thread(target=lambda: first.make(turn()), daemon=True)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()  # for one that is present
        with second.away():
            waiting.join(PATIENCE)
            assert not waiting.is_alive()


def raising(error: BaseException) -> Callable[[], Any]:
    def raises() -> Any:
        raise error

    return raises


@pytest.mark.parametrize("part", ["begin", "end"])
def test_an_error_of_a_part_reaches_its_member(part: str) -> None:
    group = Gathering(3)

    def run(name: int) -> Outputs | None:
        wrong = {part: raising(ValueError("mine"))} if name == 1 else {}
        with group.joined("net", CPU) as member:
            return member.make(turn(name=name, **wrong))

    found = side_by_side([lambda i=i: run(i) for i in range(3)])
    assert isinstance(found[1], ValueError) and isinstance(found[0], tuple) and isinstance(found[2], tuple)


def test_where_all_begin_wrongly_all_fail() -> None:
    group = Gathering(2)

    def run() -> Outputs | None:
        with group.joined("net", CPU) as member:
            return member.make(turn(begin=raising(ValueError("mine"))))

    assert [type(one) for one in side_by_side([run, run])] == [ValueError] * 2


def test_an_interrupt_in_a_pass_leaves_the_others_their_steps() -> None:
    group = Gathering(3)

    def run() -> Outputs | None:
        with group.joined("net", CPU) as member:
            return member.make(turn(joint=raising(KeyboardInterrupt())))

    found = side_by_side([run] * 3)
    assert sorted(type(one).__name__ for one in found) == ["KeyboardInterrupt", "NoneType", "NoneType"]


def test_an_interrupt_while_waiting_takes_the_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group()
    with group.joined("net", CPU) as first, group.joined("net", CPU) as second:
        monkeypatch.setattr(first._family.changed, "wait", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            first.make(turn())
        assert first.waiting is None
        with first.away():
            assert second.make(turn()) is None


class Stream:
    def __init__(self, name: str, log: list[Any]) -> None:
        self.name, self.log = name, log

    def wait_stream(self, other: "Stream") -> None:
        self.log.append((self.name, "waits for", other.name))


class Output:
    """Of a device."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def __add__(self, other: object) -> "Output":
        return self

    def record_stream(self, stream: Stream) -> None:
        self.log.append(("used by", stream.name))


def test_streams_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Any] = []
    streams = threading.local()
    monkeypatch.setattr(group_module, "stream_of", lambda _: streams.own)
    group = Gathering(2)

    def run(name: str) -> Outputs | None:
        streams.own = Stream(name, log)
        with group.joined("net", CPU) as member:
            return member.make(turn(log=log, name=name, end=lambda: (Output(log),)))

    side_by_side([lambda n=n: run(n) for n in ("s", "t")])
    (first, second) = log[3][1:]
    assert log == [
        (first, "waits for", second),
        ("begin", first),
        ("begin", second),
        ("joint", first, second),
        ("end", first),
        ("used by", first),
        ("end", second),
        ("used by", second),
        (second, "waits for", first),
    ]


def test_a_cpu_has_no_streams() -> None:
    assert group_module.stream_of(CPU) is None
