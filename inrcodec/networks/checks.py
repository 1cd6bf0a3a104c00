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
