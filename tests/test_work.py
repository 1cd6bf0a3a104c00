"""What a file may ask of its reader: limits that grow with the file, and writers that keep to them."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import inrcodec
from inrcodec import context, entropy, lattice, residual, spec
from inrcodec.backends.numpy import NumpyEngine
from inrcodec.errors import CorruptFile, LimitExceeded
from inrcodec.inspect import metrics_of
from inrcodec.limits import Limits
from inrcodec.networks.base import Param
from inrcodec.weights import pack, read_network, unpack
from inrcodec.work import affordable, plane_work, residual_work, tensor_work, wavefronts
from tests.nets import small_networks
from tools import small_files, small_residuals
from tools.faulty_tensors import work_cases


@pytest.mark.parametrize("sizes", [(2, 2), (5, 3), (1, 4), (3, 4, 5), (2, 2, 2)])
def test_wavefronts_are_those_of_the_coder(sizes: tuple[int, ...]) -> None:
    assert wavefronts(sizes) == len(context.Padded(sizes).fronts()[1]) - 1
    assert plane_work(sizes) == int(np.prod(sizes)) + 32 * wavefronts(sizes)


def test_the_work_of_a_residual_is_that_of_its_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "BAND", 24)
    head = {"axes": [{"n": 11}, {"n": 6}], "out": {"channels": [{}, {}]}, "tens": [[spec.RESIDUAL, 9]]}
    assert residual_work(head) == 2 * (2 * plane_work((4, 6)) + plane_work((3, 6)))
    assert residual_work({**head, "tens": [[spec.RESIDUAL, 0]]}) == residual_work({**head, "tens": []}) == 0


def test_the_work_of_tensors() -> None:
    matrix, table = Param("m", (3, 4), "matrix", 0), Param("grid.0", (49, 2), "table", 1)
    config = next(config for _, config in small_networks() if config.in_features == 2)
    assert tensor_work(matrix, spec.RANS, config) == 12
    assert tensor_work(matrix, spec.RANS_SHARED, config) == 15
    assert tensor_work(replace(matrix, axis=-1), spec.RANS_SHARED, config) == 13
    assert tensor_work(matrix, spec.RAW_INT, config) == tensor_work(table, spec.RAW_F32, config) == 0
    assert tensor_work(table, spec.CONTEXT, config) == 2 * plane_work((7, 7))


def test_a_limit_is_met_at_its_value_and_not_before() -> None:
    data = small_files.lanes().bytes()
    work = 8 + 16 + 8  # step codes and symbols of the first tensor, symbols of the second
    assert inrcodec.open(data, limits=Limits(coding=work, coding_per_byte=0)).params
    with pytest.raises(LimitExceeded, match=f"coding work of at most {work - 1} for .* bytes of DATA, got {work}"):
        inrcodec.open(data, limits=Limits(coding=work - 1, coding_per_byte=0))
    assert inrcodec.open(data, limits=Limits(parameters=33, parameters_per_byte=0)).params
    with pytest.raises(LimitExceeded, match="at most 32 parameters in .* bytes of DATA, got 33"):
        inrcodec.open(data, limits=Limits(parameters=32, parameters_per_byte=0))


def test_masks_residuals_and_parameters_are_limited_together() -> None:
    data = small_residuals.files()["residual-missing"][0]
    assert inrcodec.open(data, limits=Limits(elements=33 + 9 + 9)).shape == (3, 3, 1)
    with pytest.raises(LimitExceeded, match="at most 50 elements, got 51"):
        inrcodec.open(data, limits=Limits(elements=33 + 9 + 9 - 1))


def test_a_raised_limit_holds_for_all_of_the_file() -> None:
    case = next(case for case in work_cases() if case.name == "work-rans")
    with pytest.raises(LimitExceeded):
        inrcodec.open(case.data)
    inr = inrcodec.open(case.data, limits=Limits(coding=1 << 24))
    assert inr.params["grid.0"].size == 5 << 18
    assert inr.info["tensors"][2]["codec"] == "rans"


def test_sizes_beyond_64_bits_are_refused() -> None:
    huge = small_files.sound().with_head(axes=[{"name": "t", "n": 2**31}], windows={"hop": [2], "overlap": [2]})
    level = [0.5, 2**20, 2**28, 2]
    net = ["sasnet.2", 1, 1, 2, 2, 1, 1.0, 4.0, 1, 2, 1, 1, 2, 32, [level], [1.0]]
    with pytest.raises(LimitExceeded, match=r"elements, got 9\d{18}"):
        inrcodec.open(huge.with_head(net=net).bytes())


def test_a_large_lattice_is_not_listed() -> None:
    tracemalloc.start()
    try:
        points = lattice.decode(bytes.fromhex("1f14e12345"), 1, 4)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert points.shape == (1, 4)
    assert 1 <= np.abs(points).max() <= 31


@pytest.mark.parametrize(("bound", "d"), [(1, 12), (255, 1), (9, 2), (4, 3), (3, 4)])
def test_vectors_by_number_are_those_of_the_list(bound: int, d: int) -> None:
    points = lattice.half_lattice(bound, d)
    chosen = points[:: max(1, len(points) // 500)]
    assert (lattice.decode(lattice.encode(chosen), *chosen.shape) == chosen).all()


def test_an_empty_residual_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        assert not residual.decode(b"", (1 << 14, 1 << 14), 1)[-1].any()
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_long_streams_of_few_bytes_take_more_lanes() -> None:
    n = 1 << 19
    symbols = np.zeros(n, dtype=np.int32)
    data = entropy.encode(symbols, np.zeros(n, dtype=np.int64), [(63, 0)])
    assert data[0] > 0
    assert affordable(n, len(data))
    assert not entropy.decode(data, np.zeros(n, dtype=np.int64), [(63, 0)]).any()
    assert entropy.encode(symbols[: n // 4], np.zeros(n // 4, dtype=np.int64), [(63, 0)])[0] == 0


def test_writers_avoid_streams_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    network, config = next((n, c) for n, c in small_networks() if n.id == "siren.1")
    values = {p.name: np.zeros(p.shape, dtype=np.float32) for p in network.params(config)}
    steps = {p.name: np.ones(p.shape[p.axis] if p.axis >= 0 else 1) for p in network.params(config)}
    usual, _ = pack(network, config, values, steps)
    assert spec.RANS_SHARED in {codec for codec, _ in usual}
    monkeypatch.setattr("inrcodec.weights.affordable", lambda work, _: work == 0)
    kept, _ = pack(network, config, values, steps)
    assert {codec for codec, _ in kept} == {spec.RAW_INT}


def test_maps_beside_head_are_limited() -> None:
    chunks = small_files.siren().chunks()
    data = small_files.joined([chunks[0], (b"mTRC", bytes((1 << 20) + 1)), *chunks[1:]])
    with pytest.raises(LimitExceeded, match="mTRC: expected at most 1048576 bytes"):
        _ = inrcodec.open(data).info
    with pytest.raises(CorruptFile):
        metrics_of(inrcodec.container.load(small_files.joined([chunks[0], (b"mTRC", b"\xc1"), *chunks[1:]])))


def test_a_million_values_in_head_are_read_at_once() -> None:
    from inrcodec.container import pack_map, unpack_map

    value = {"opt": [[0] * 4096] * 240}
    assert unpack_map(pack_map(value), "HEAD") == value


def test_limits_reach_the_parameters() -> None:
    container = inrcodec.container.load(small_files.lanes().bytes())
    with pytest.raises(LimitExceeded):
        unpack(container, Limits(coding=0, coding_per_byte=0))
    with pytest.raises(LimitExceeded):
        read_network(container.head, Limits(parameters=0, parameters_per_byte=0))


def test_only_the_windows_that_are_needed_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    compiled = NumpyEngine.compile
    monkeypatch.setattr(NumpyEngine, "compile", lambda *parts: (made.append(1), compiled(*parts))[1])
    inr = inrcodec.open(small_files.sound().bytes(), backend="numpy", device="cpu")
    inr.at([[-0.99]])
    assert len(made) == 1
    inr.at([[-0.99], [0.99]])
    assert len(made) == 2


def test_masks_are_joined_alike_slice_by_slice_and_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from inrcodec import validity

    missing = np.random.default_rng(0).random((6, 5, 7)) < 0.3
    _, payload = validity.encode(missing)
    for long in (1, 1 << 30):
        monkeypatch.setattr(validity, "LONG", long)
        found = validity.decode(payload, missing.shape)
        assert found.dtype == np.bool_
        assert (found == missing).all()


def test_streams_read_in_blocks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols = np.random.default_rng(0).integers(-3, 4, 500).astype(np.int32)
    symbols[::50] = 100_000
    ids, models = np.arange(500) % 2, [(40, 0), (3, 4)]
    data = entropy.encode(symbols, ids, models)
    for block in (1, 7, 499, 500):
        monkeypatch.setattr(entropy, "BLOCK", block)
        assert (entropy.decode(data, ids, models) == symbols).all()


@pytest.mark.parametrize("lanes_log2", [0, 3])
def test_one_alphabet_is_read_quickly_and_alike(lanes_log2: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from inrcodec import rans

    symbols = np.random.default_rng(1).integers(-5, 6, 300).astype(np.int32)
    monkeypatch.setattr(rans, "_lanes_log2", lambda *_: lanes_log2)
    data = entropy.encode(symbols, np.zeros(300, dtype=np.int64), [(5, 9)])
    for least in (1, 1 << 30):
        monkeypatch.setattr(rans, "ONE_TABLE", least)
        assert (entropy.decode(data, np.zeros(300, dtype=np.int64), [(5, 9)]) == symbols).all()
        for cut in (data[:-1], data[:-2], data + b"\0", bytes([*data[:-1], data[-1] ^ 1])):
            with pytest.raises(CorruptFile):
                entropy.decode(cut, np.zeros(300, dtype=np.int64), [(5, 9)])
