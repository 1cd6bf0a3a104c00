"""Contexts of dense tables: alphabets from their definition, a second decoder, the float form of the rate and its gradients, damage."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inrcodec import context, entropy, rans, spec
from inrcodec.backends.threads import team
from inrcodec.container import Container
from inrcodec.context import ContextNet
from inrcodec.errors import CorruptFile, InrError
from inrcodec.fit import contexts as floats
from inrcodec.fit.quantized import flat_layout
from inrcodec.networks import NETWORKS
from inrcodec.networks.hashgrid import Level, geometric_levels
from inrcodec.networks.sasnet import SasnetConfig
from inrcodec.weights import contextual_tables, network_list, pack, unpack
from tests.nets import lively_params


def some_net(d: int, planes: int, seed: int = 0, hidden: int = 5) -> ContextNet:
    rng = np.random.default_rng(seed)
    x = context.inputs(d)
    a1, a2 = rng.integers(-30, 31, (hidden, x + 1)), rng.integers(-20, 21, (2, hidden))
    return ContextNet(a1, a2, rng.integers(-6, 7, (2, x)), rng.integers(-60, 61, (2, planes)))


def some_symbols(shape: tuple[int, ...], scale: float, seed: int) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).laplace(0, scale, shape)).astype(np.int64)


def test_ratios_are_those_of_their_scales() -> None:
    assert [math.floor(2**24 * math.exp(-1 / (8 * 2 ** (j / 4 - 4)))) for j in range(49)] == list(spec.LAPLACE_RATIOS)


def test_magnitudes_are_rounded_logarithms() -> None:
    assert context.magnitudes().tolist() == [round(16 * math.log2(1 + a)) for a in range(256)]


def test_every_alphabet_has_positive_frequencies_that_sum_to_the_total() -> None:
    for frequencies in context.tables().frequencies:
        assert frequencies.min() >= 1
        assert frequencies.sum() == rans.TOTAL
        assert len(frequencies) % 2 == 0


@pytest.mark.parametrize("j", [0, 8, 16, 24, 32])
@pytest.mark.parametrize("f", [-4, -1, 0, 3])
def test_frequencies_follow_a_laplace_distribution(j: int, f: int) -> None:
    s, mu = 2 ** (j / 4 - 4), f / 8
    found = context.laplace_frequencies(j, f)

    def cumulative(x: float) -> float:
        return 0.5 * math.exp((x - mu) / s) if x < mu else 1 - 0.5 * math.exp(-(x - mu) / s)

    for letter, frequency in enumerate(found[:-1]):
        symbol = (letter + 1) // 2 * (1 if letter % 2 else -1)
        expected = rans.TOTAL * (cumulative(symbol + 0.5) - cumulative(symbol - 0.5))
        assert abs(frequency - expected) <= 3 + 0.01 * expected, (symbol, frequency, expected)


def plain_decode(data: bytes, net: ContextNet, shape: tuple[int, ...], parent: np.ndarray | None, level: int) -> np.ndarray:
    """The text's definition, one vertex and one integer at a time."""
    *axes, features = shape
    d, r = len(axes), axes[0]  # a level with a parent is a cube
    lanes, (count, position) = 1 << data[0], rans.read_leb128(data, 1)
    states = [int.from_bytes(data[position + 4 * j :][:4], "little") for j in range(lanes)]
    position += 4 * lanes
    end, number = position + 2 * count, 0
    result = np.zeros(shape, dtype=object)

    def magnitude(a: int) -> int:
        return context.magnitudes().tolist()[min(a, 255)]

    def squeezed(v: int) -> int:
        return magnitude(abs(v)) * (1 if v > 0 else -1 if v < 0 else 0)

    def at(values: np.ndarray, vertex: tuple[int, ...], f: int) -> int:
        inside = all(0 <= i < n for i, n in zip(vertex, values.shape[:-1], strict=True))
        return int(values[(*vertex, f)]) if inside else 0

    near = [o for o in product((-1, 0, 1), repeat=d) if o < (0,) * d]
    far = [tuple(-2 if j == k else 0 for j in range(d)) for k in range(d)]
    vertices = sorted(product(*map(range, axes)), key=lambda v: (sum(i << (d - 1 - k) for k, i in enumerate(v)), v))
    for f in range(features):
        for v in vertices:
            seen = [at(result, tuple(a + b for a, b in zip(v, o, strict=True)), f) for o in near + far]
            x = [squeezed(s) for s in seen] + [squeezed(sum(abs(s) for s in seen[: len(near)]))]
            if parent is None:
                x += [0, 0]
            else:
                p = v if parent.shape == shape else tuple((2 * i * (parent.shape[0] - 1) + r - 1) // (2 * (r - 1)) for i in v)
                around = sum(abs(at(parent, tuple(a + b for a, b in zip(p, o, strict=True)), f)) for o in product((-1, 0, 1), repeat=d))
                x += [squeezed(at(parent, p, f)), squeezed(around)]
            x += [squeezed(int(result[(*v, f - 1)])) if f else 0, 16 * level]
            hidden = [max(0, sum(int(w) * i for w, i in zip(row[:-1], x, strict=True)) + 16 * int(row[-1])) for row in net.a1]
            place, scale = (
                sum(int(w) * i for w, i in zip(net.a2[o], hidden, strict=True))
                + 64 * sum(int(w) * i for w, i in zip(net.b[o], x, strict=True))
                + 1024 * int(net.bias[o, level * features + f])
                for o in range(2)
            )
            eighths = min(max((place + 4096) >> 13, -(1 << 23)), 1 << 23)
            whole = (eighths + 4) >> 3
            j = min(max(((scale + 8192) >> 14) + 16, 0), 48)
            frequencies = context.laplace_frequencies(j, eighths - 8 * whole).tolist()
            state = states[number % lanes]
            slot, letter, start = state % rans.TOTAL, 0, 0
            while start + frequencies[letter] <= slot:
                start += frequencies[letter]
                letter += 1
            state = frequencies[letter] * (state // rans.TOTAL) + slot - start
            if state < 1 << 16:
                state = state << 16 | int.from_bytes(data[position : position + 2], "little")
                position += 2
            states[number % lanes] = state
            number += 1
            symbol = (letter + 1) // 2 * (1 if letter % 2 else -1)
            if letter == len(frequencies) - 1:
                value, end = rans.read_leb128(data, end)
                symbol = (value // 2 + letter // 2 + 1) * (-1 if value % 2 else 1)
            result[(*v, f)] = symbol + whole
    assert set(states) == {1 << 16}
    assert end == len(data)
    return result.astype(np.int64)


@pytest.mark.parametrize(("d", "r", "q", "k"), [(2, 9, None, 1), (2, 9, 5, 2), (2, 2, 3, 1), (3, 5, 3, 2), (3, 4, None, 1)])
def test_a_second_decoder_reads_the_same(d: int, r: int, q: int | None, k: int) -> None:
    parent = None if q is None else some_symbols((q,) * d + (k,), 3.0, 1)
    symbols = some_symbols((r,) * d + (k,), 1.5, 2)
    symbols.reshape(-1)[3] = -70000
    net = some_net(d, 3 * k)
    data = context.encode(net, symbols, parent, 2)
    assert np.array_equal(context.decode(data, net, symbols.shape, parent, 2), symbols)
    assert np.array_equal(plain_decode(data, net, symbols.shape, parent, 2), symbols)


@pytest.mark.parametrize("shape", [(4, 9, 2), (1, 7, 1), (9, 1, 3), (2, 5, 3, 1), (5, 1, 2, 2)])
@pytest.mark.parametrize("alone", [True, False])
def test_planes_need_not_be_cubes(shape: tuple[int, ...], alone: bool) -> None:
    symbols, parent = some_symbols(shape, 1.5, 0), None if alone else some_symbols(shape, 2.0, 1)
    net = some_net(len(shape) - 1, 2 * shape[-1])
    data = context.encode(net, symbols, parent, 1)
    assert np.array_equal(context.decode(data, net, shape, parent, 1), symbols)
    assert np.array_equal(plain_decode(data, net, shape, parent, 1), symbols)


@pytest.mark.parametrize("sizes", [(40, 7), (3, 14, 5)])
def test_the_compiled_rate_of_such_planes_is_the_one_autograd_follows(sizes: tuple[int, ...]) -> None:
    pytest.importorskip("numba")
    tables = tuple(floats.Table(level, 0, 0, 0, 0) for level in range(3))
    weights = floats.new_weights(len(sizes), 3, 5, torch.Generator().manual_seed(0), torch.device("cpu"))
    made = floats.Contexts(len(sizes), 1, tables, weights, torch.optim.Adam(list(weights.values())))
    with torch.no_grad():
        weights["b"].add_(0.1)
        weights["a2"].add_(0.05)
    symbols = [torch.from_numpy(some_symbols((*sizes, 1), 2.0, level).astype(np.float32)) for level in range(3)]
    with team(2) as threads:
        bits, _ = floats._rate_compiled(made, symbols, threads)
        gradients = {name: weight.grad.clone() for name, weight in made.weights.items() if weight.grad is not None}
        expected, _ = floats._rate_followed(made, [v.clone() for v in symbols], threads)
    assert bits == pytest.approx(float(expected), rel=1e-5)
    assert set(gradients) == set(floats.WEIGHTS)
    assert all((gradients[name] - weight.grad).abs().max() <= 2e-5 * weight.grad.abs().max() for name, weight in made.weights.items())


@given(st.integers(2, 3), st.integers(2, 12), st.integers(1, 3), st.floats(0.01, 300), st.integers(0, 1 << 30))
@settings(max_examples=60)
def test_what_is_written_is_read(d: int, r: int, k: int, scale: float, seed: int) -> None:
    r = min(r, 6) if d == 3 else r
    symbols, parent = some_symbols((r,) * d + (k,), scale, seed), some_symbols((max(2, r // 2),) * d + (k,), scale, seed + 1)
    net = some_net(d, 2 * k, seed, hidden=1 + seed % 16)
    assert np.array_equal(context.decode(context.encode(net, symbols, parent, 1), net, symbols.shape, parent, 1), symbols)


def test_many_lanes_are_read_across_wavefronts() -> None:
    symbols = some_symbols((130, 130, 1), 40.0, 0)
    net = some_net(2, 1)
    data = context.encode(net, symbols, None, 0)
    assert 1 << data[0] < rans.SCALAR_LANES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rans, "_lanes_log2", lambda *_: 7)
        data = context.encode(net, symbols, None, 0)
    assert data[0] == 7
    assert np.array_equal(context.decode(data, net, symbols.shape, None, 0), symbols)


def test_the_network_comes_back() -> None:
    net = some_net(3, 8, hidden=16)
    found = context.unpack_net(context.pack_net(net), d=3, planes=8)
    assert all(np.array_equal(getattr(found, name), getattr(net, name)) for name in ("a1", "a2", "b", "bias"))


def test_a_bad_network_is_corrupt() -> None:
    with pytest.raises(CorruptFile, match=r"expected 1..64 neurons"):
        context.unpack_net(b"\x00\x00\x00", d=2, planes=1)
    net = some_net(2, 1)
    net.b[0, 0] = 1 << 16
    with pytest.raises(CorruptFile, match="weight: expected at most 32768"):
        context.unpack_net(context.pack_net(net), d=2, planes=1)


def test_damage_is_an_error_or_other_symbols_but_never_a_crash() -> None:
    symbols, net = some_symbols((12, 12, 2), 2.0, 0), some_net(2, 2)
    data = context.encode(net, symbols, None, 0)
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        for content in (bytes(damaged), data[: int(rng.integers(len(data)))]):
            try:
                context.decode(content, net, symbols.shape, None, 0)
            except InrError:
                continue


def dense_config(d: int, k: int = 1, hashed: bool = False) -> SasnetConfig:
    levels: tuple[Level, ...] = geometric_levels(d=d, levels=3, coarsest=4, finest=60 if d == 2 else 8, max_entries=1 << 20)
    if hashed:
        levels = (*levels, Level(40.0, 42, 512))
    return SasnetConfig(d, 3, 12, 16, 1, 30.0, 2.1, 2, 8, 2, 4, 8, k, levels, (1.0,) * d)


def float_contexts(config: SasnetConfig, seed: int = 0) -> tuple[floats.Contexts, list[torch.Tensor]]:
    network = NETWORKS["sasnet.2"]
    names = contextual_tables(network, config)
    layout = flat_layout(network.params(config), torch.device("cpu"), last=names)
    made = floats.make_contexts(layout, config.levels, names, d=config.in_features, hidden=7, learning_rate=1e-2, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in ("a2", "b", "bias"):
            made.weights[name].add_(torch.rand(made.weights[name].shape, generator=generator) * 0.3 - 0.15)
    symbols = []
    for table in made.tables:
        v = torch.randn((table.resolution,) * made.d + (made.k,), generator=generator) * 2
        v[v.abs() < 0.7] = 0
        symbols.append(v)
    return made, symbols


@pytest.mark.parametrize("config", [dense_config(2), dense_config(2, 3), dense_config(3, 2)], ids=["2d", "2d features", "3d features"])
def test_compiled_rate_is_the_one_autograd_follows(config: SasnetConfig) -> None:
    pytest.importorskip("numba")
    made, symbols = float_contexts(config)
    with team(2) as threads:
        bits, slopes = floats._rate_compiled(made, symbols, threads)
        gradients = {name: weight.grad.clone() for name, weight in made.weights.items() if weight.grad is not None}
        expected, expected_slopes = floats._rate_followed(made, [v.clone() for v in symbols], threads)
    assert bits == pytest.approx(float(expected), rel=1e-5)
    for found, slope in zip(slopes, expected_slopes, strict=True):
        assert (found - slope).abs().max() <= 2e-5 * slope.abs().max()
    assert set(gradients) == set(floats.WEIGHTS)
    for name, weight in made.weights.items():
        assert weight.grad is not None
        assert (gradients[name] - weight.grad).abs().max() <= 2e-5 * weight.grad.abs().max(), name


def test_gradients_are_those_of_finite_differences() -> None:
    made, symbols = float_contexts(dense_config(2, 2))
    made.weights = {name: weight.detach().double().requires_grad_() for name, weight in made.weights.items()}
    symbols = [v.double() for v in symbols]
    with team(1) as threads:
        _, slopes = floats._rate_followed(made, [v.clone() for v in symbols], threads)
    rng, h = np.random.default_rng(0), 1e-6
    for level, slope in enumerate(slopes):
        for _ in range(10):
            where = tuple(int(rng.integers(n)) for n in slope.shape)
            if symbols[level][where] == 0:
                continue
            both = []
            for sign in (1, -1):
                moved = [v.clone() for v in symbols]
                moved[level][where] += sign * h
                both.append(float(floats.context_bits(made, moved).detach()))
            assert (both[0] - both[1]) / (2 * h) == pytest.approx(float(slope[where]), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("config", [dense_config(2), dense_config(3, 2)], ids=["2d", "3d"])
def test_the_estimate_is_the_size_of_the_stream(config: SasnetConfig) -> None:
    made, symbols = float_contexts(config)
    symbols = [torch.round(v) for v in symbols]
    estimate = float(floats.context_bits(made, symbols).detach())
    net, parent, written = made.integers(), None, 0
    for table, v in zip(made.tables, symbols, strict=True):
        values = v.numpy().astype(np.int64)
        written += 8 * len(context.encode(net, values, parent, table.level))
        parent = values
    # A lane's state and the count of words: 6 bytes a stream; weights in 1/64 and scales by fourth roots cost a little.
    assert 0.99 * estimate <= written <= 1.03 * estimate + 8 * 7 * len(symbols)


def smooth_tables(config: SasnetConfig) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Parameters with tables whose values grow from left to right, and steps."""
    network = NETWORKS["sasnet.2"]
    values = lively_params(network, config)
    for i, level in enumerate(config.levels):
        table = values[f"grid.{i}"]
        x = np.arange(len(table)) % level.resolution
        table[:] = np.rint(table * 2.0 ** (8 * x / level.resolution - 4)[:, None])
    trainable = [p for p in network.params(config) if p.trainable]
    steps = {p.name: np.full(p.shape[p.axis] if p.axis >= 0 else 1, 1 if p.role == "table" else 0.05, np.float32) for p in trainable}
    return values, steps


def container_of(config: SasnetConfig, entries: list, data: bytes) -> Container:
    network = NETWORKS["sasnet.2"]
    head = {"net": network_list(network, config), "tens": entries}
    return Container({**head, "axes": [{}] * config.in_features, "out": {"channels": [{}] * config.out_features}}, data)


def packed(config: SasnetConfig, net: ContextNet | None) -> Container:
    entries, data = pack(NETWORKS["sasnet.2"], config, *smooth_tables(config), contexts=net)
    return container_of(config, entries, data)


def helpful_net(config: SasnetConfig) -> ContextNet:
    """A scale that follows the neighbours' magnitudes."""
    net = some_net(2, len(config.levels))
    for part in (net.a1, net.a2, net.b):
        part[...] = 0
    net.b[1, len(context.neighbours(2))] = 64
    net.bias[0], net.bias[1] = 0, -128
    return net


@pytest.mark.parametrize("hashed", [False, True])
def test_tables_with_contexts_come_back_bit_for_bit(hashed: bool) -> None:
    config = dense_config(2, hashed=hashed)
    plain, with_contexts = packed(config, None), packed(config, helpful_net(config))
    codecs = [entry[0] for entry in with_contexts.head["tens"]]
    assert spec.CONTEXT in codecs
    assert codecs[-1] == spec.CONTEXT_NET
    assert len(with_contexts.data) < len(plain.data)
    expected, found = unpack(plain)[2], unpack(with_contexts)[2]
    assert all(found[name].tobytes() == value.tobytes() for name, value in expected.items())


def test_contexts_that_do_not_help_are_left_out() -> None:
    config = dense_config(2)
    net = helpful_net(config)
    net.bias[1] = 500  # much too wide
    assert packed(config, net).head["tens"] == packed(config, None).head["tens"]


def test_contexts_without_their_network_are_corrupt() -> None:
    config = dense_config(2)
    whole = packed(config, helpful_net(config))
    entries = whole.head["tens"][:-1]
    with pytest.raises(CorruptFile, match="codec context: expected a dense grid level and a context network"):
        unpack(container_of(config, entries, whole.data[: sum(entry[1] for entry in entries)]))


def test_a_context_network_without_dense_levels_is_corrupt() -> None:
    levels = (Level(40.0, 42, 512),)
    config = SasnetConfig(2, 3, 12, 16, 1, 30.0, 2.1, 2, 8, 2, 4, 8, 1, levels, (1.0, 1.0))
    whole = packed(config, None)
    described = context.pack_net(some_net(2, 1))
    entries = [*whole.head["tens"], [spec.CONTEXT_NET, len(described)]]
    with pytest.raises(CorruptFile, match="a context network: expected a dense grid level in 2 or 3 dimensions"):
        unpack(container_of(config, entries, whole.data + described))


def test_which_levels_have_contexts() -> None:
    def count(d: int, *levels: Level) -> int:
        return context.contextual_levels(levels, d)

    dense, single, hashed, padded = Level(2.5, 4, 16), Level(0.5, 1, 1), Level(6.5, 8, 32), Level(2.5, 4, 17)
    assert count(2, dense, dense) == 2
    assert count(2, dense, hashed, dense) == count(2, dense, padded, dense) == count(2, dense, single) == 1
    assert count(2, single, dense) == count(1, Level(2.5, 4, 4)) == count(3, dense) == 0
    assert count(3, Level(2.5, 4, 64)) == 1


def test_a_context_network_is_no_tensor_of_the_network() -> None:
    config = dense_config(2)
    whole = packed(config, None)
    entries = [list(entry) for entry in whole.head["tens"]]
    entries[1][0] = spec.CONTEXT_NET
    with pytest.raises(CorruptFile, match="codec: expected one for parameters, got context-net"):
        unpack(container_of(config, entries, whole.data))


def test_symbols_beyond_the_limit_are_refused() -> None:
    net = some_net(2, 1)
    for part in (net.a1, net.a2, net.b, net.bias):
        part[...] = 0
    symbols = np.zeros((3, 3, 1), dtype=np.int64)
    symbols[1, 1, 0] = entropy.MAX_SYMBOL + 5
    with pytest.raises(ValueError, match="expected at most"):
        context.encode(net, symbols, None, 0)
