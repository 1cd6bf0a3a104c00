"""The committed files: parameters bit for bit, values within the stated bounds, by every engine."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inrcodec
from inrcodec.backends import available
from inrcodec.codec import params_digest
from inrcodec.networks import NETWORKS

VALID = Path(__file__).resolve().parents[1] / "conformance" / "valid"
CASES = sorted(path.name for path in VALID.iterdir())


def problems(folder: Path, facts: dict[str, Any], reference: np.ndarray, backend: str) -> list[str]:
    """What is wrong with a case, one line each."""
    inr = inrcodec.open(folder / "input.inr", backend=backend, device="cpu")
    found = []
    if params_digest(inr) != facts["parameters_sha256"]:
        found.append("parameters differ")
    error = inr.decode(scale=facts["scale"], dtype=np.float32).astype(np.float64) - reference
    if np.sqrt(np.mean(error**2)) > facts["rms_error"]:
        found.append("rms error")
    if np.abs(error).max() > facts["peak_error"]:
        found.append("peak error")
    return found


def load(name: str) -> tuple[Path, dict[str, Any], np.ndarray]:
    folder = VALID / name
    return folder, json.loads((folder / "test.json").read_text()), np.load(folder / "reference.npy")


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("name", CASES)
def test_case(name: str, backend: str) -> None:
    assert problems(*load(name), backend) == []


def test_every_network_has_a_case() -> None:
    assert {case.split("-")[0] for case in CASES} == set(NETWORKS)


def test_each_check_can_fail() -> None:
    folder, facts, reference = load(CASES[0])
    assert facts["rms_error"] <= facts["peak_error"]
    assert "parameters differ" in problems(folder, {**facts, "parameters_sha256": "0" * 64}, reference, "numpy")
    shifted = reference.copy()
    shifted[0, 0, 0] += 1e-4
    assert problems(folder, facts, shifted, "numpy") == ["peak error"]
    assert "rms error" in problems(folder, facts, reference + np.float32(1e-5), "numpy")
