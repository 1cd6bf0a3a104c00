"""Where fits in threads of one process meet to make their steps together.

A member hands in a step and waits; when all that are present have handed in theirs, the first of every kind makes those of its kind, one
pass for all, and the others go on. A step without another of its kind its member makes alone. Nobody is waited for who is away.
"""

import threading
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from inrcodec.fit.captured import Outputs
from inrcodec.fit.grouped import Share

Tensor = torch.Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Turn:
    """A step of one member, in parts that another member's thread may run.

    begin and end are its own and follow each other: end takes what begin gave and the member's of what `joint` gives for all shares; the
    joint pass is that of whoever makes the step, and what it keeps is good for as long as the `owners` it is given are the same.
    """

    key: Hashable  # steps of equal keys can be made together
    begin: Callable[[], Outputs]
    share: Callable[[], Share]  # asked after `begin`
    joint: Callable[[Sequence[Share], tuple[object, ...]], Tensor]
    end: Callable[[Outputs, Tensor], Outputs]


@dataclass(eq=False)
class _Waiting:
    """A turn that was handed in, and what becomes of it."""

    turn: Turn
    stream: Any  # of its member, None on a CPU
    makes: "list[_Waiting]" = field(default_factory=list)  # those that its member has to make
    over: bool = False
    outputs: Outputs | None = None
    error: Exception | None = None


class Member:
    """A fit in a group."""

    def __init__(self, family: "_Family", device: torch.device) -> None:
        self._family, self._device = family, device
        self.waiting: _Waiting | None = None  # until it is dealt with

    def make(self, turn: Turn) -> Outputs | None:
        """What the step gives, made together with others; None where there are no others of its kind, and it is to be made alone.

        Raises what the member's own parts of the step raise.
        """
        family, mine = self._family, _Waiting(turn, stream_of(self._device))
        try:
            with family.changed:
                self.waiting = mine
                family.deal()
                while not (mine.over or mine.makes):
                    family.changed.wait()
            if mine.makes:
                _make(mine.makes, family)
        finally:
            self._part_with(mine)
        if mine.error is not None:
            raise mine.error
        return mine.outputs

    @contextmanager
    def away(self) -> Iterator[None]:
        """While active, nobody waits for this member."""
        self._family.leave(self)
        try:
            yield
        finally:
            self._family.enter(self)

    def _part_with(self, mine: _Waiting) -> None:
        """Let go of a turn, whatever has happened: others go on, and nothing is done any more in this member's name."""
        with self._family.changed:
            if self.waiting is mine:
                self.waiting = None
            elif mine.makes:
                for each in mine.makes:
                    each.over = True
                self._family.changed.notify_all()
            else:
                while not mine.over:
                    self._family.changed.wait()


class _Family:
    """Members that can make steps together. What is in it is read and changed by who holds `changed`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.members: tuple[Member, ...] = ()  # in the order in which they came
        self.apart = False  # a pass has failed: everyone alone
        self._present: set[Member] = set()

    def enter(self, member: Member) -> None:
        with self.changed:
            self._present.add(member)
            if member not in self.members:
                self.members += (member,)

    def leave(self, member: Member, *, ends: bool = False) -> None:
        with self.changed:
            self._present.discard(member)
            if ends:
                self.members = tuple(other for other in self.members if other is not member)
            self.deal()

    def deal(self) -> None:
        """Where all that are present wait, say who makes which steps."""
        present = [member for member in self.members if member in self._present]
        if not present or any(member.waiting is None for member in present):
            return
        kinds: dict[Hashable, list[_Waiting]] = {}
        for member in present:
            assert member.waiting is not None
            kinds.setdefault(member.waiting.turn.key, []).append(member.waiting)
            member.waiting = None
        for same in kinds.values():
            if len(same) > 1 and not self.apart:
                same[0].makes = same
            else:
                for each in same:
                    each.over = True
        self.changed.notify_all()


class Group:
    """Fits of one process that make steps together where they can. One may join it after the other, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._families: dict[Hashable, _Family] = {}

    @contextmanager
    def joined(self, architecture: Hashable, device: torch.device) -> Iterator[Member]:
        """While active, a member among those of the same architecture; present, unless it says that it is away."""
        with self._lock:
            family = self._families.setdefault(architecture, _Family())
            member = Member(family, device)
            family.enter(member)
        try:
            yield member
        finally:
            with self._lock:
                family.leave(member, ends=True)
                if not family.members:
                    self._families.pop(architecture, None)


def _make(all_of_them: Sequence[_Waiting], family: _Family) -> None:
    """Make steps of one kind, in the stream of the first. What goes wrong in one member's own parts is for that member alone."""
    first = all_of_them[0]
    with _one_stream([each.stream for each in all_of_them]):
        begun = [(each, found) for each in all_of_them if (found := _own(each, each.turn.begin)) is not None]
        if not begun:
            return
        try:
            sums = first.turn.joint([each.turn.share() for each, _ in begun], family.members)
        except Exception as error:
            family.apart = True
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            warnings.warn(f"fit: steps cannot be made together and are made one by one ({reason})", RuntimeWarning, stacklevel=2)
            return
        for (each, found), own in zip(begun, sums, strict=True):
            _end(each, found, own)


def _end(each: _Waiting, found: Outputs, own: Tensor) -> None:
    each.outputs = _own(each, lambda: each.turn.end(found, own))
    if each.stream is not None:
        for output in each.outputs or ():
            output.record_stream(each.stream)


def _own(each: _Waiting, work: Callable[[], Outputs]) -> Outputs | None:
    try:
        return work()
    except Exception as error:
        each.error = error
        return None


def stream_of(device: torch.device) -> Any:
    """The stream of this thread, None on a CPU."""
    return torch.cuda.current_stream(device) if device.type == "cuda" else None


@contextmanager
def _one_stream(streams: Sequence[Any]) -> Iterator[None]:
    """What follows runs in the first of the streams after all that is in the others, and they go on after it; None on a CPU."""
    first, *others = streams
    if first is None:
        yield
        return
    for other in others:
        first.wait_stream(other)
    try:
        yield
    finally:
        for other in others:
            other.wait_stream(first)
