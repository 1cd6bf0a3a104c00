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
CASES = sorted(path.relative_to(VALID).as_posix() for path in VALID.glob("*/*"))


def problems(folder: Path, facts: dict[str, Any], reference: np.ndarray, backend: str) -> list[str]:
    """What is wrong with a case, one line each."""
    inr = inrcodec.open(folder / "input.inr", backend=backend, device="cpu")
    found = []
    if params_digest(inr) != facts["parameters_sha256"]:
        found.append("parameters differ")
    decoded = inr.decode(scale=facts["scale"], dtype=np.float32).astype(np.float64)
    if decoded.shape != reference.shape or not np.array_equal(np.isnan(decoded), np.isnan(reference)):
        return [*found, "shape or missing samples differ"]
    error = np.nan_to_num(decoded - reference)
    if np.sqrt(np.mean(error**2)) > facts["rms_error"]:
        found.append("rms error")
    if np.abs(error).max() > facts["peak_error"]:
        found.append("peak error")
    if "bound" in facts and off(inr.decode(), np.load(folder / "source.npy")) > facts["bound"]:
        found.append("bound")
    return found


def off(decoded: np.ndarray, source: np.ndarray) -> float:
    """The largest difference, infinite where types or missing samples differ."""
    source = source.reshape(decoded.shape)
    if decoded.dtype != source.dtype or not np.array_equal(np.isnan(decoded), np.isnan(source)):
        return np.inf
    return float(np.nanmax(np.abs(decoded.astype(np.float64) - source)))


def load(name: str) -> tuple[Path, dict[str, Any], np.ndarray]:
    folder = VALID / name
    return folder, json.loads((folder / "test.json").read_text()), np.load(folder / "reference.npy")


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("name", CASES)
def test_case(name: str, backend: str) -> None:
    assert problems(*load(name), backend) == []


def test_every_network_has_a_case() -> None:
    assert {inrcodec.open(VALID / case / "input.inr").head["net"][0] for case in CASES} == set(NETWORKS)


def test_kinds_and_features_have_cases() -> None:
    heads = [inrcodec.open(VALID / case / "input.inr").head for case in CASES]
    assert {head["kind"] for head in heads} >= {"image", "volume", "audio", "shape"}
    assert (
        any("tiles" in head for head in heads)
        and any("windows" in head for head in heads)
        and any(head["out"].get("valid") for head in heads)
    )
    residuals = [head["out"]["residual"] for head in heads if "residual" in head["out"]]
    assert {r["bound"] > 0 for r in residuals} == {r["tolerance"] < 4e-5 for r in residuals} == {False, True}


def test_each_check_can_fail() -> None:
    folder, facts, reference = load("1/sasnet.1-rgb")
    assert facts["rms_error"] <= facts["peak_error"]
    assert "parameters differ" in problems(folder, {**facts, "parameters_sha256": "0" * 64}, reference, "numpy")
    shifted = reference.copy()
    shifted[0, 0, 0] += 1e-4
    assert problems(folder, facts, shifted, "numpy") == ["peak error"]
    gap = reference.copy()
    gap[0, 0, 0] = np.nan
    assert problems(folder, facts, gap, "numpy") == problems(folder, facts, reference[1:], "numpy") == ["shape or missing samples differ"]
    assert "rms error" in problems(folder, facts, reference + np.float32(1e-5), "numpy")
    folder, facts, reference = load("1/residual-bounded")
    assert problems(folder, {**facts, "bound": 0.001}, reference, "numpy") == ["bound"]
    assert off(np.zeros(3, np.uint8), np.zeros(3)) == np.inf
