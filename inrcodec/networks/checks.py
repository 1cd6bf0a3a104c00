"""Checks of network configurations, shared by all networks. They raise ValueError; the reader of files turns it into CorruptFile."""

import math
from typing import Any


def check_counts(config: Any, name: str, lowest: int, highest: int) -> None:
    value = getattr(config, name)
    if not lowest <= value <= highest:
        raise ValueError(f"{name}: expected {lowest}..{highest}, got {value}")


def check_finite(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a positive number, got {value}")


def check_grid(config: Any) -> None:
    """Of a network with `levels` of a hash grid and a `stretch` per axis."""
    if len(config.stretch) != config.in_features or not all(0 < s <= 1 for s in config.stretch):
        raise ValueError(f"stretch: expected {config.in_features} numbers above 0 and at most 1, got {config.stretch}")
    if not 1 <= len(config.levels) <= 64:
        raise ValueError(f"levels: expected 1..64, got {len(config.levels)}")


def check_frequencies(config: Any) -> None:
    """Of a network whose sines have frozen integer frequencies."""
    check_counts(config, "frequencies", 1, 8192)
    check_counts(config, "band", 1, 255)
    check_finite(config, "period")
