"""The last adjustment of a file: what it finds, on made-up files whose size and PSNR fall with coarser steps."""

import math

from hypothesis import given
from hypothesis import strategies as st

from inrcodec.quality import Measured
from inrcodec.settling import MOST_PSNR, TRIES, settle, settled

Made = tuple[bytes, Measured]


class Files:
    """Sizes and PSNRs as functions of the steps; counts what is asked."""

    def __init__(self, size: float, psnr: float, *, octave: int = 40, finer_helps: bool = True) -> None:
        self.size, self.psnr, self.octave, self.finer_helps = size, psnr, octave, finer_helps
        self.measured = 0

    def packed(self, coarser: int) -> bytes:
        return coarser.to_bytes(4, "little", signed=True) + bytes(max(0, round(self.size * 2 ** (-coarser / (2 * self.octave)))))

    def finished(self, bare: bytes) -> Made:
        self.measured += 1
        coarser = int.from_bytes(bare[:4], "little", signed=True)
        gained = coarser if coarser > 0 or self.finer_helps else -coarser
        return bare, Measured(psnr=self.psnr - 3.0 * gained / self.octave, seconds=0.0)

    def settled(self, *, size: int | None = None, psnr: float | None = None) -> Made:
        return settled(self.packed, self.finished, beside=0, octave=self.octave, size=size, psnr=psnr)


@given(st.floats(2000, 20000), st.integers(3000, 12000))
def test_sizes_are_used_but_never_passed(size: float, wanted: int) -> None:
    data, _ = Files(size, 35.0).settled(size=wanted)
    assert 0.97 * wanted <= len(data) <= wanted


@given(st.floats(25, 45), st.floats(25, 45))
def test_psnrs_are_reached_and_hardly_more(psnr: float, wanted: float) -> None:
    _, found = Files(9000, psnr).settled(psnr=wanted)
    assert wanted <= found.psnr <= wanted + 2 * MOST_PSNR


def test_nothing_asked_is_nothing_changed() -> None:
    files = Files(9000, 35.0)
    assert files.settled()[1].psnr == 35.0
    assert files.measured == 1


def test_finer_steps_that_do_not_help_are_not_taken() -> None:
    assert Files(5000, 35.0, finer_helps=False).settled(size=9000)[1].psnr == 35.0


def test_the_bytes_promised_are_used_where_that_costs_little() -> None:
    data, found = Files(5790, 35.0, finer_helps=False).settled(size=6000)
    assert 5820 <= len(data) <= 6000 and 34.7 <= found.psnr < 35.0
    data, found = Files(5850, 35.0, finer_helps=False).settled(size=6000)
    assert len(data) == 5854 and found.psnr == 35.0


def test_only_what_is_written_is_measured_for_a_size() -> None:
    files = Files(9000, 35.0)
    files.settled(size=6000)
    assert files.measured == 1


def test_what_cannot_be_reached_ends_with_the_best_there_is() -> None:
    class Flat(Files):
        def packed(self, coarser: int) -> bytes:
            return coarser.to_bytes(4, "little", signed=True) + bytes(5000 - min(coarser, 100))

    assert len(Flat(0, 35.0).settled(size=3000)[0]) == 4904
    assert Flat(0, 35.0, finer_helps=False).settled(psnr=50.0)[1].psnr == 35.0


@given(st.integers(-3000, 3000), st.floats(0.1, 10), st.floats(0.3, 3))
def test_a_wrong_slope_costs_few_tries(goal: int, width: float, wrong: float) -> None:
    asked = []

    def figure(c: int) -> float:
        asked.append(c)
        return -float(c)

    settle(figure, low=goal - width, high=goal + width, slope=wrong, most=5000)
    assert len(asked) <= TRIES
    assert len(set(asked)) == len(asked)
    assert any(goal - width <= -c <= goal + width for c in asked) or {math.floor(-goal), math.ceil(-goal)} & set(asked)
