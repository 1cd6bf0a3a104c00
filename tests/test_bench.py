"""The benchmarks' own arithmetic: budgets, curves, losses, alignment, and a results file that survives being cut short."""

import dataclasses
import json
import math
import os
import sys

import numpy as np
import pytest
import torch

from inrcodec.backends.threads import team
from inrcodec.backends.torch import TorchOps
from inrcodec.bench.base import Unusable
from inrcodec.bench.machine import versions
from inrcodec.bench.quality import as_type, value_psnr
from inrcodec.bench.volume_peers import Form
from inrcodec.coordinates import Points
from inrcodec.fit.gradients import make_lanes
from inrcodec.fit.quantized import flat_layout
from inrcodec.mesh import extract
from inrcodec.networks import NETWORKS
from inrcodec.networks.msa import MsaConfig
from tools.bench_common import Results
from tools.bench_finer import CONTENDERS, Contender, Samples, batch_loss
from tools.bench_peers import best_points, peer_row
from tools.bench_shapes import Drawn, most_faces, same_mesh, whole_grid
from tools.bench_sound import align, resample
from tools.bench_superres import averaged
from tools.bench_volumes import Volume, comparison, curves_of, spread_labels


def test_results_are_written_row_by_row_and_resumed(tmp_path):
    path = tmp_path / "r.json"
    results = Results(path)
    results.begin("peers", seed=0)
    results.put("peers", "a/1", {"psnr": 1.0})
    results.put("peers", "b/1", {"psnr": 2.0})
    held = json.loads(path.read_text())["peers"]
    assert [row["key"] for row in held["rows"]] == ["a/1", "b/1"] and held["seed"] == 0 and held["machine"]["cores"] >= 1
    Results(path).put("sound", "x", {})
    results.put("peers", "a/1", {"psnr": 3.0})  # in its place, and the other's section stays
    content = json.loads(path.read_text())
    assert [row["psnr"] for row in content["peers"]["rows"]] == [3.0, 2.0] and content["sound"]["rows"] == [{"key": "x"}]
    assert Results(path).wanted("peers", "a/1")
    again = Results(path, only=("a/", "c/"), resume=True)
    assert [again.wanted("peers", key) for key in ("a/1", "b/1", "c/1")] == [False, False, True]
    again.begin("peers")
    assert len(again.rows("peers")) == 2


def test_psnr_of_values_in_their_own_type():
    original = np.array([0, 100, 200, 50], np.uint8)
    assert value_psnr(original, np.array([0.4, 99.6, 240, 50])) == pytest.approx(10 * math.log10(200**2 / (40**2 / 4)))
    assert value_psnr(original, np.array([-3, 100.2, 200, 50.4])) is None
    numbers = np.array([1.0, 2.0, np.nan], np.float32)
    assert value_psnr(numbers, np.array([1.0, 2.5, 7.0])) == pytest.approx(10 * math.log10(1 / 0.125))
    assert as_type(np.array([-1e9, 1e9]), np.dtype("int16")).tolist() == [-32768, 32767]


def test_versions():
    assert versions(("numpy", "no-such-package-at-all")) == {"numpy": np.__version__, "no-such-package-at-all": None}


def smooth_form(size, **options):
    """A compressor whose file of parameter p has size(p) bytes and decodes to p."""
    return Form(
        name="smooth",
        ladder=(0.01, 0.1, 1.0, 10.0),
        encode=lambda p: np.float64(p).tobytes() + b"\0" * (size(p) - 8),
        decode=lambda stream: np.frombuffer(stream[:8]),
        **options,
    )


def quality(decoded):
    return -20 * math.log10(decoded[0])


def test_best_points_fill_their_budgets():
    found, smallest = best_points(smooth_form(lambda p: int(1000 / p) + 20), [5000, 1234, 130], quality)
    for point, budget in zip(found, [5000, 1234, 130], strict=True):
        assert 0.97 * budget <= point.bytes <= budget and point.psnr == pytest.approx(-20 * math.log10(point.parameter))
    assert (smallest.bytes, smallest.parameter) == (120, 10.0)


def test_best_points_where_nothing_fits_or_nothing_is_between():
    found, smallest = best_points(smooth_form(lambda p: int(1000 / p) + 20), [50], quality)
    assert found == [None] and smallest.bytes == 120
    found, _ = best_points(smooth_form(lambda p: int(1000 / p) + 20, refine=0), [5000], quality)
    assert found[0].parameter == 1.0


def test_best_points_take_a_smaller_file_that_is_better():
    def uneven(decoded):
        return 100.0 if decoded[0] == 10.0 else -decoded[0]

    found, _ = best_points(smooth_form(lambda p: int(1000 / p) + 20, refine=0, checked=1), [5000, 120], uneven)
    assert [point.parameter for point in found] == [10.0, 10.0]


def test_files_that_do_not_decode_do_not_count():
    form = smooth_form(lambda p: int(1000 / p) + 20, refine=0, checked=2)

    def decode(stream):
        if np.frombuffer(stream[:8])[0] in (1.0, 10.0):
            raise Unusable("trap")
        return form.decode(stream)

    found, smallest = best_points(dataclasses.replace(form, decode=decode), [200_000, 5000], quality)
    assert found[0].parameter == 0.01 and found[1] is None and smallest.parameter == 0.1


def test_a_missing_compressor_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "zfpy", None)
    row = peer_row(Volume("v", None, np.zeros((4, 4, 4), np.float32)), "zfp")
    assert "zfpy" in row["error"] and "points" not in row


CONTENT = {
    "volumes": {
        "rows": [
            {"volume": "v", "ratio": 100, "psnr": 40.0, "within_budget": True},
            {"volume": "v", "ratio": 300, "psnr": 39.0, "within_budget": False},
        ]
    },
    "peers": {
        "rows": [
            {"volume": "v", "codec": "sz3", "points": [{"ratio": 100, "psnr": 41.5}, {"ratio": 300, "psnr": 30.0}]},
            {"volume": "v", "codec": "zfp", "points": [{"ratio": 100, "psnr": 20.0}, {"ratio": 300, "psnr": None}]},
            {"volume": "v", "codec": "tthresh", "error": "absent"},
        ]
    },
}


def test_losses_are_named():
    assert curves_of(CONTENT, "v") == {"inrcodec": {100: 40.0}, "sz3": {100: 41.5, 300: 30.0}, "zfp": {100: 20.0}}
    lines = comparison(["v"], CONTENT, (100, 300))
    assert lines[1].split() == ["v", "100x", "40.00", "41.50", "20.00", "-", "-", "SZ3"]
    assert lines[3:] == ["loss: v at 100x to SZ3 by 1.50 dB", "loss: v at 300x to SZ3 which inrcodec does not reach"]
    assert comparison(["v"], {"peers": CONTENT["peers"]}, (100,))[-1] == "inrcodec: not measured"


def test_labels_keep_their_distance_and_order():
    moved = spread_labels({"a": 1.0, "b": 1.01, "c": 0.0, "d": 1.02}, 0.5)
    places = [moved[name] for name in "cabd"]
    assert min(np.diff(places)) >= 0.5 - 1e-3
    assert spread_labels({"a": 0.0, "b": 2.0}, 0.5) == {"a": 0.0, "b": 2.0} and spread_labels({}, 1.0) == {}


@pytest.mark.parametrize("lag", [-700, 0, 312])
def test_sounds_are_aligned(lag):
    sound = np.random.default_rng(0).normal(size=(5000, 2))
    shifted = sound[-lag:] if lag < 0 else np.concatenate([np.zeros((lag, 2)), sound])
    found, aligned = align(sound, shifted, lags=800)
    assert found == lag and aligned.shape == sound.shape
    assert np.array_equal(aligned[max(0, -lag) :], sound[max(0, -lag) :])


def test_resampling_there_and_back():
    sound = np.sin(2 * np.pi * 1000 * np.arange(8820) / 44100)[:, None]
    faster = resample(sound, 44100, 48000)
    assert len(faster) == 9600
    assert np.abs(faster[500:-500, 0] - np.sin(2 * np.pi * 1000 * np.arange(9600) / 48000)[500:-500]).max() < 1e-4
    assert np.abs(resample(faster, 48000, 44100) - sound)[500:-500].max() < 1e-4


def test_most_faces_within_a_budget():
    def make(faces):
        return Drawn(b"\0" * (3 * faces), None, 11, faces, 0.0)

    assert most_faces(make, 5000, 20_000).faces == 5000
    found = most_faces(make, 100_000, 20_000)
    assert 19_600 <= len(found.data) <= 20_000
    assert most_faces(make, 100_000, 11) is None


def test_a_whole_grid_gives_the_mesh_of_the_extraction():
    def ball(points):
        return np.linalg.norm(points - 0.03, axis=1) - 0.3

    vertices, faces, count = extract(ball, 33)
    whole = whole_grid(ball, 33)
    assert count < 33**3 and same_mesh((vertices, faces), whole)
    assert not same_mesh((vertices + 1e-3, faces), whole) and not same_mesh((vertices, faces[1:]), whole)


def test_the_networks_have_the_published_sizes():
    sizes = {c.network: sum(p.size for p in NETWORKS[c.network].params(c.config) if p.trainable) for c in CONTENDERS}
    assert sizes == {"sasnet.1": 130_917, "siren.1": 132_865, "msa.1": 132_865}


def test_gradients_are_those_of_the_weighted_sum():
    contender = Contender("msa.1", MsaConfig(3, 1, 8, 1, 0.0, 1.0), coordinates=2.0)
    network, device = NETWORKS["msa.1"], torch.device("cpu")
    layout = flat_layout(network.params(contender.config), device)
    initial = network.init(contender.config, np.random.default_rng(0))
    values = torch.cat([torch.as_tensor(initial[param.name]).reshape(-1) for param in layout.params])
    grads = torch.zeros_like(values)
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.5, 0.5, (6001, 3))
    targets, weights = (torch.as_tensor(rng.uniform(0, 1, (1, 6001)), dtype=torch.float32) for _ in range(2))
    with team(2) as threads:
        lanes = make_lanes(layout, values, grads, {}, device, 2)
        loss = batch_loss(lanes, threads, contender, Samples(points, targets, weights))
    followed = values.clone().requires_grad_()
    output = network.forward(TorchOps(device), contender.config, layout.views(followed), Points(2.0 * points))
    expected = (weights * (output - targets) ** 2).sum()
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    assert torch.allclose(grads, followed.grad, rtol=1e-3, atol=1e-3 * float(followed.grad.abs().max()))


def test_the_decode_benchmark_counts_rounds_and_parameters():
    from tools.bench_decode import in_turn, plain_siren, ratio

    asked = []
    times = in_turn({"a": lambda: asked.append("a") or 2.0, "b": lambda: asked.append("b") or 4.0}, 2)
    assert asked == ["a", "b"] * 3 and times == {"a": [2.0, 2.0], "b": [4.0, 4.0]}
    assert ratio({"a": [1.0, 2.0, 9.0], "b": [2.0, 2.0, 2.0]}, "a", "b") == 1.0
    for wanted in (500, 128_987):
        width, layers = plain_siren(wanted, outputs=3)
        held = sum(w.numel() + b.numel() for w, b in layers)
        more = sum(p * q + p for p, q in ((width + 1, 2), *[(width + 1, width + 1)] * 3, (3, width + 1)))
        assert held <= wanted < more


def test_pictures_are_averaged_over_blocks():
    picture = np.array([[1, 2, 9, 9], [2, 2, 9, 10]], dtype=np.uint8)[..., None]
    assert averaged(picture, 2).tolist() == [[[2], [9]]]  # 1.75, 9.25
    assert averaged(np.array([[0, 1], [1, 0]], dtype=np.uint8)[..., None], 2).tolist() == [[[1]]]  # a half goes up
    rough = np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype=np.uint8)
    assert averaged(rough, 4).shape == (3, 2, 3)
    assert abs(averaged(rough, 4).mean() - rough.mean()) < 1


def test_the_benchmark_of_tiles_counts_what_is_read_and_held() -> None:
    from inrcodec.chunks import Whole
    from tools import bench_tiles

    ranges = bench_tiles.Counted(Whole(bytes(100)))
    assert len(ranges.read(90, 120)) == 10 and len(ranges.read(0, 8)) == 8 and ranges.taken == 18
    found, line = bench_tiles.index_cost(512), bench_tiles.manifest_cost(50)
    assert 60 < found["bytes"] < 80 and found["held_bytes"] > 100
    assert 400 < line["bytes"] < 500 and line["held_bytes"] > 100
    here = bench_tiles.memory(os.getpid())
    assert here > 10_000_000 and bench_tiles.memory(2**22 + 1) == 0
