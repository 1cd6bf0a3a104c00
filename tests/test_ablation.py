"""The ablation's arithmetic: gains are means over photographs, of complete changes only."""

import pytest

from tools.bench_ablation import CHANGES, gains


def row(change: str, photo: str, above: float) -> dict:
    return {"change": change, "photo": photo, "above_jpeg_db": above}


def test_gains_are_differences_to_the_default() -> None:
    rows = [row("default", "a", 2.0), row("default", "b", 1.0), row("plain", "a", 1.5), row("plain", "b", -0.5), row("half", "a", 9.0)]
    assert gains(rows) == pytest.approx({"default": 0.0, "plain": -1.0})
    assert gains(rows[2:]) == {}


def test_changes_have_names_of_their_own() -> None:
    assert len({change.key for change in CHANGES}) == len(CHANGES)
    assert CHANGES[0].key == "default"
    assert not CHANGES[0].settings
