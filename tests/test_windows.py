"""Windows along one axis: geometry, the file, the decoder, the fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import inrcodec
from inrcodec.codec import verify
from inrcodec.container import Container, dump, load
from inrcodec.coordinates import Lattice, Points, sample_centres
from inrcodec.errors import CorruptFile, Interrupted
from inrcodec.fit.data import training_data
from inrcodec.fit.windowed import windowed_data
from inrcodec.networks import NETWORKS
from inrcodec.networks.siren import SirenConfig
from inrcodec.networks.stacked import stacked
from inrcodec.signals.base import Axis, Channel, Signal, Space
from inrcodec.weights import network_list, pack
from inrcodec.windows import Windows, blended

CONFIG = SirenConfig(1, 1, 16, 1, 20.0, 30.0)


def tone(n: int, channels: int = 1, rate: int = 8000) -> Signal:
    """Two partials and a little envelope, values (n, channels)."""
    t = np.arange(n) / rate
    x = np.stack([np.sin(2 * np.pi * (220 + 30 * k) * t) * 0.6 + 0.3 * np.sin(2 * np.pi * 660 * t) for k in range(channels)], axis=1)
    x *= (1 - 0.5 * np.arange(n) / n)[:, None]
    names = tuple(Channel(f"ch{k}", "value", -1.0, 1.0) for k in range(channels))
    values = (x * 0.5 + 0.5).astype(np.float32)
    return Signal(
        kind="audio", axes=(Axis("t", n),), channels=names, values=values, bits=16, dtype="float32", space=Space((1 / rate,), units="s")
    )


def windowed_file(n: int = 100, hop: int = 30, overlap: int = 8, *, arch: str = "siren.1") -> bytes:
    """A file with windows of random networks."""
    windows = Windows(n=n, hop=hop, overlap=overlap)
    network = stacked(NETWORKS[arch], windows.count)
    values = network.init(CONFIG, np.random.default_rng(1))
    steps = {p.name: np.full(p.shape[0] if p.axis == 0 else 1, 1e-3) for p in network.params(CONFIG)}
    tensors, payload = pack(network, CONFIG, values, steps)
    channel = {"name": "ch0", "role": "value", "scale": 0.5, "offset": 0.5, "low": -1.0, "high": 1.0}
    head = {
        "kind": "audio",
        "level": 1,
        "axes": [{"name": "t", "n": n, "lo": -1.0, "hi": 1.0}],
        "out": {"channels": [channel], "bits": 16, "dtype": "float32"},
        "net": network_list(network, CONFIG),
        "windows": {"hop": [hop], "overlap": [overlap]},
        "tens": tensors,
        "req": [],
    }
    return dump(Container(head, payload))


@st.composite
def geometries(draw: st.DrawFn) -> Windows:
    n = draw(st.integers(3, 5000))
    hop = draw(st.integers(2, n - 1))
    overlap = 2 * draw(st.integers(1, hop // 2))
    lo = draw(st.floats(-3, 2))
    return Windows(n=n, hop=hop, overlap=overlap, lo=lo, hi=lo + draw(st.floats(0.1, 4)))


@given(geometries(), st.integers(1, 700))
def test_weights_sum_to_one_and_every_sample_is_covered(windows: Windows, m: int) -> None:
    x = sample_centres(m, windows.lo, windows.hi)
    q = windows.position(x)
    total, owners = np.zeros(m), np.zeros(m, dtype=int)
    for w, part, shared in windows.parts(q):
        local = windows.local(q[part], w)
        assert (np.abs(local) <= 1 + 1e-9).all()
        weight = np.ones(part.stop - part.start)
        weight[:shared] = windows.rise(q[part.start : part.start + shared], w)
        total[part.start : part.start + shared] -= weight[:shared]
        total[part] += weight
        owners[part] += 1
    assert np.abs(total - 1).max() < 1e-12
    assert owners.min() >= 1 and owners.max() <= 2
    constant = blended(windows, lambda _: lambda coords: np.full((coords.n, 1), 0.3, np.float32), Lattice((x,)))
    assert (constant == np.float32(0.3)).all()


@given(geometries(), st.integers(0, 2**31))
def test_points_in_any_order_are_the_lattice(windows: Windows, seed: int) -> None:
    x = sample_centres(64, windows.lo, windows.hi)
    order = np.random.default_rng(seed).permutation(64)

    def network(w: int):  # type: ignore[no-untyped-def]
        return lambda coords: (coords.axes[0] if isinstance(coords, Lattice) else coords.values[:, 0])[:, None].astype(np.float32) + w

    on_lattice = blended(windows, network, Lattice((x,)))
    assert (blended(windows, network, Points(x[order][:, None])) == on_lattice[order]).all()


def test_the_fade_of_the_specification() -> None:
    windows = Windows(n=100, hop=40, overlap=10)
    q = np.array([35.5, 37.5, 40.0, 42.5, 44.9])
    t = (q - 40) / 10 + 0.5
    assert windows.rise(q, 1) == pytest.approx(t * t * (3 - 2 * t))
    assert windows.count == 3 and windows.length == 50
    assert windows.local(np.array([35.0, 60.0, 85.0]), 1) == pytest.approx([-1, 0, 1])
    x = np.array([-0.28, -0.2, -0.1999])
    slope = (windows.rise(windows.position(x + 1e-6), 1) - windows.rise(windows.position(x - 1e-6), 1)) / 2e-6
    assert windows.rise_slope(windows.position(x), 1) == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("scale", [0.13, 0.5, 1.0, 1.7, 6.0])
def test_a_region_is_the_crop_of_the_scaled_grid(backend: str, scale: float) -> None:
    inr = inrcodec.open(windowed_file(), backend=backend, device="cpu")
    whole = inr.decode(scale=scale)
    m = len(whole)
    for start, stop in ((0, 100), (13, 57), (28.5, 31.5), (99, 100)):
        first = min(int(start * m / 100 + 0.5), m - 1)
        expected = whole[first : max(first + 1, int(stop * m / 100 + 0.5))]
        assert np.array_equal(inr.decode(scale=scale, region=[(start, stop)]), expected)


def test_at_is_decode_on_the_centres_and_slopes_are_differences() -> None:
    inr = inrcodec.open(windowed_file(), device="cpu")
    x = sample_centres(300)
    decoded, found = inr.decode(scale=3.0, dtype=np.float64)[:, 0], inr.at(x[:, None])[:, 0]
    assert np.abs(np.clip(found, -1, 1) - decoded).max() < 2e-5
    inside = x[(np.abs(x) < 0.99)]
    h = 1e-4
    numeric = (inr.at((inside + h)[:, None]) - inr.at((inside - h)[:, None])) / (2 * h)
    exact = inr.gradient(inside[:, None])[:, :, 0]
    assert np.abs(numeric - exact).max() < 0.02 * np.abs(exact).max()
    beyond = inr.at(np.array([[-1.1], [1.1]]))
    assert np.isfinite(beyond).all()


def test_engines_agree() -> None:
    first, second = (inrcodec.open(windowed_file(), backend=name, device="cpu").decode(scale=2.3) for name in ("numpy", "torch"))
    assert np.abs(first - second).max() < 2e-5


def test_stacked_parameters_are_those_of_single_networks() -> None:
    network = stacked(NETWORKS["siren.1"], 3)
    single = NETWORKS["siren.1"].params(CONFIG)
    for one, many in zip(single, network.params(CONFIG), strict=True):
        assert many.shape == (3, *one.shape) and many.axis == (0 if one.size >= 16 else -1)
    values = network.init(CONFIG, np.random.default_rng(0))
    alone = NETWORKS["siren.1"].init(CONFIG, np.random.default_rng(0))
    assert all(np.array_equal(values[name][0], alone[name]) for name in alone)
    assert not np.array_equal(values["first.weight"][1], values["first.weight"][0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"windows": {"hop": [30]}}, "'overlap' is missing"),
        ({"windows": {"hop": [30], "overlap": [8], "fade": 1}}, "unknown key 'fade'"),
        ({"windows": {"hop": [30.0], "overlap": [8]}}, "expected int, got float"),
        ({"windows": {"hop": [100], "overlap": [8]}}, "hop below 100"),
        ({"windows": {"hop": [0], "overlap": [8]}}, "even overlap"),
        ({"windows": {"hop": [30], "overlap": [7]}}, "even overlap"),
        ({"windows": {"hop": [30], "overlap": [32]}}, "even overlap"),
        ({"windows": {"hop": [30, 30], "overlap": [8]}}, "expected a list of 1 entries, got 2"),
        ({"windows": [30]}, "expected a map, got list"),
        ({"windows": {"hop": [50], "overlap": [8]}}, "rANS stream: expected"),
    ],
)
def test_damaged_windows_are_refused(change: dict, message: str) -> None:
    container = load(windowed_file())
    head = {**container.head, **change}
    with pytest.raises(CorruptFile, match=message):
        inrcodec.open(dump(Container(head, container.data)), device="cpu").decode()


def test_windows_of_two_axes_are_refused() -> None:
    container = load(windowed_file())
    head = {**container.head, "axes": container.head["axes"] * 2}
    with pytest.raises(CorruptFile, match="one axis"):
        load(dump(Container(head, container.data)))


def test_targets_and_weights_of_a_batch() -> None:
    signal = tone(100)
    plain = training_data(signal.values, None, [(-1, 1)], stride=1, device=torch.device("cpu"))
    windows = Windows(n=100, hop=30, overlap=8)
    data = windowed_data(plain, windows, stride=3, threads=2)
    assert len(data.phase_indices()) == 3
    count, covered = 0, np.zeros(100)
    for phase in data.phase_indices():
        batch = data.batch(phase)
        count += batch.count
        assert batch.weights is not None and len(batch.parts) == 4
        for part in batch.parts:
            x = (part.coords.axes[0] * windows.length / 2 + (part.window + 0.5) * windows.hop - 0.5).round(6)
            weight = batch.weights[0, part.samples].numpy()
            inside = (x >= 0) & (x < 100)
            assert (weight[~inside] == 0).all()
            index = x[inside].astype(int)
            assert np.array_equal(batch.targets[0, part.samples].numpy()[inside], plain.targets[0, index].numpy())
            covered[index] += weight[inside]
    assert np.abs(covered - 1).max() < 1e-5
    assert abs(count - 100) <= 3


SETTINGS = {"window": 128, "steps": 150}


def test_a_tone_is_coded_well_and_the_same_each_time() -> None:
    signal = tone(1000, channels=2)
    first, second = (inrcodec.encode(signal, settings={**SETTINGS, "steps": 400}, device="cpu") for _ in range(2))
    assert first.data == second.data
    inr = inrcodec.open(first.data)
    assert inr.head["windows"] == {"hop": [125], "overlap": [14]}
    assert first.report.snr is not None and first.report.snr > 12
    assert inr.decode().shape == (1000, 2)
    rows = {row["metric"]: row for row in inr.info["metrics"]}
    assert rows["snr"]["value"] == pytest.approx(first.report.snr) and rows["segmental_snr"]["unit"] == "dB"
    checks = verify(inr, source=signal)
    assert checks["snr"] == pytest.approx(first.report.snr, abs=0.02)
    masks = inr.modulation()
    assert masks is not None and masks.shape[0] == 1000 and (masks >= 0).all() and (masks <= 1).all()


@pytest.mark.parametrize("arch", ["siren.1", "msa.1", "sasnet.1"])
def test_every_network_in_windows(arch: str) -> None:
    encoded = inrcodec.encode(tone(600), arch=arch, settings={**SETTINGS, "steps": 60}, device="cpu")
    a, b = (inrcodec.open(encoded.data, backend=name, device="cpu").decode() for name in ("numpy", "torch"))
    assert np.abs(a - b).max() < 1e-4


def test_a_size_holds_and_no_windows_where_told() -> None:
    encoded = inrcodec.encode(tone(1000), size=2200, settings=SETTINGS, device="cpu")
    assert encoded.report.target_met and len(encoded.data) <= 2200
    plain = inrcodec.encode(tone(300), settings={"window": 0, "steps": 20}, device="cpu")
    assert "windows" not in inrcodec.open(plain.data).head


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100])
def test_short_sounds(n: int) -> None:
    encoded = inrcodec.encode(tone(n), settings={"steps": 20}, device="cpu")
    assert inrcodec.open(encoded.data).decode(scale=3.0).shape == (3 * n, 1)


def test_silence_and_clicks() -> None:
    silent = replace(tone(700), values=np.full((700, 1), 0.5, np.float32))
    encoded = inrcodec.encode(silent, settings=SETTINGS, device="cpu")
    assert np.abs(inrcodec.open(encoded.data).decode()).max() < 1e-3
    values = silent.values.copy()
    values[[100, 101, 400]] = 1.0
    clicks = inrcodec.encode(replace(silent, values=values), settings=SETTINGS, device="cpu")
    assert clicks.report.snr is not None and clicks.report.snr > 1


def test_a_resumed_fit_gives_the_bytes_of_one_run(tmp_path: Path) -> None:
    signal, path = tone(800), tmp_path / "fit.pt"
    whole = inrcodec.encode(signal, settings=SETTINGS, device="cpu")
    from inrcodec import codec
    from inrcodec.fit import trainer

    seen = iter(range(10_000))
    original = trainer.fit

    def stopping(data, plan, options):  # type: ignore[no-untyped-def]
        return original(data, plan, replace(options, stop=lambda: next(seen) == 70))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "fit", stopping)
        with pytest.raises(Interrupted):
            codec.encode(signal, settings=SETTINGS, device="cpu", checkpoint=path)
    resumed = inrcodec.encode(signal, settings=SETTINGS, device="cpu", checkpoint=path, resume=True)
    assert resumed.data == whole.data
