"""The weight of the rate follows a size or a PSNR: pure arithmetic on the state of a run."""

import math

import pytest
import torch

from inrcodec.fit.plan import Plan, Schedule, Target
from inrcodec.fit.quantized import flat_layout
from inrcodec.fit.state import State, new_state
from inrcodec.fit.steering import LAMS, MOST_GATHERED, steer, wanted_distortion
from inrcodec.networks import NETWORKS
from tests.nets import lively_params, small_sasnet

SCHEDULE = Schedule(steps=1000, stride=2, learning_rate=5e-3, table_learning_rate=2e-2)
SAMPLES = 10_000


def plan(**target: object) -> Plan:
    return Plan(network=NETWORKS["sasnet.1"], config=small_sasnet(), schedule=SCHEDULE, target=Target(lam=1e-4, **target))  # type: ignore[arg-type]


def state(chosen: Plan, *, bits: float = 80_000.0, psnr: float = 30.0, snapped: bool = False) -> State:
    layout = flat_layout(chosen.network.params(chosen.config), torch.device("cpu"))
    made = new_state(chosen, layout, lively_params(chosen.network, chosen.config), seed=0, device=torch.device("cpu"))
    made.bits, made.distortion, made.snapped, made.excess = bits, 10 ** (-psnr / 10), snapped, 0.0
    return made


def steered(chosen: Plan, fraction: float, **known: object) -> State:
    made = state(chosen, **known)  # type: ignore[arg-type]
    steer(made, chosen, SAMPLES, 500, fraction)
    return made


def test_a_larger_file_is_pressed_harder() -> None:
    chosen = plan(size=10_000)
    lams = [steered(chosen, 0.6, bits=8 * n).lam for n in (8_000, 9_500, 10_000, 12_000)]
    assert lams == sorted(lams)
    assert lams[0] < lams[1] < lams[2] < lams[3]


def test_the_wanted_size_comes_down_by_a_path() -> None:
    chosen, bits = plan(size=10_000), 8 * 30_000.0
    first = state(chosen, bits=bits)
    first.excess = None
    steer(first, chosen, SAMPLES, 500, SCHEDULE.rate_from)
    assert first.excess == pytest.approx(math.log(30_000 / (SCHEDULE.size_margin * 10_000)))
    later = state(chosen, bits=bits)
    later.excess = first.excess
    steer(later, chosen, SAMPLES, 500, 0.4)
    assert later.lam > 2 * first.lam
    assert first.pull == later.pull == 0.0


@pytest.mark.parametrize("snapped", [False, True])
def test_more_distortion_than_wanted_lowers_the_weight(snapped: bool) -> None:
    chosen = plan(psnr=30.0)
    lams = [steered(chosen, 0.6, psnr=p, bits=4_000.0, snapped=snapped).lam for p in (28.0, 29.9, 30.5, 33.0)]
    assert lams == sorted(lams)
    assert lams[0] < lams[-1] / 3


def test_a_psnr_has_no_larger_weight_than_the_bits_left_are_worth() -> None:
    chosen = plan(psnr=30.0)
    few, many = (steered(chosen, 0.6, psnr=40.0, bits=bits).lam for bits in (4_000.0, 80_000.0))
    assert few > many
    careful = state(chosen, psnr=40.0)
    careful.attempts = 1
    steer(careful, chosen, SAMPLES, 500, 0.6)
    assert careful.lam < many


def test_distortion_that_grows_once_the_size_is_there_does_not_raise_the_weight() -> None:
    chosen = plan(size=10_000)
    made = state(chosen)
    steer(made, chosen, SAMPLES, 500, 0.6)
    calm, made.pull = made.lam, 0.0
    made.distortion = 10 * (made.distortion or 0.0)
    steer(made, chosen, SAMPLES, 500, 0.6)
    assert made.lam < 1.5 * calm


def test_what_is_gathered_is_bounded_and_so_is_the_weight() -> None:
    for chosen, known in ((plan(size=64), {"bits": 1e9}), (plan(psnr=70.0), {"psnr": 3.0})):
        made = state(chosen, **known)
        for _ in range(2000):
            steer(made, chosen, SAMPLES, 500, 0.7)
            assert LAMS[0] <= made.lam <= LAMS[1]
        assert abs(made.pull) <= MOST_GATHERED


def test_without_a_target_or_without_a_distortion_nothing_changes() -> None:
    chosen = plan()
    assert steered(chosen, 0.6).lam == 1e-4
    made = state(plan(size=100))
    made.distortion = None
    steer(made, plan(size=100), SAMPLES, 500, 0.6)
    assert made.lam == 1e-4


def test_wanted_distortion_is_a_little_better_than_the_target() -> None:
    assert 10 ** (-30.05 / 10) < wanted_distortion(30.0) < 10 ** (-30.0 / 10)
