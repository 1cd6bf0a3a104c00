"""Parameters through the file: exact, whatever codec a tensor ends in."""

from dataclasses import replace

import numpy as np
import pytest

from inrcodec import spec
from inrcodec.backends.numpy import NumpyOps
from inrcodec.container import Container
from inrcodec.coordinates import Points
from inrcodec.errors import CorruptFile, InrError, LimitExceeded, UnsupportedFile
from inrcodec.limits import Limits
from inrcodec.quantize import dequantize, nearest_step_codes, quantize
from inrcodec.weights import network_list, pack, read_network, unpack
from tests.nets import lively_params, name_of, small_networks


def packed(case: tuple, coarser: int = 0, step: float = 0.01) -> tuple[Container, dict, dict]:
    network, config = case
    values = lively_params(network, config)
    steps = {p.name: np.full(p.shape[p.axis] if p.axis >= 0 else 1, step, np.float32) for p in network.params(config) if p.trainable}
    entries, data = pack(network, config, values, steps, coarser=coarser)
    axes, channels = [{}] * config.in_features, [{}] * config.out_features
    head = {"net": network_list(network, config), "tens": entries, "axes": axes, "out": {"channels": channels}}
    return Container(head, data), values, steps


@pytest.mark.parametrize("case", small_networks(), ids=name_of)
@pytest.mark.parametrize("coarser", [0, 5])
def test_unpacked_values_are_the_dequantized_ones_bit_for_bit(case: tuple, coarser: int) -> None:
    container, values, steps = packed(case, coarser)
    network, config, found = unpack(container)
    assert (network, config) == case
    for param in network.params(config):
        if param.role == "frequency":
            expected = values[param.name]
        else:
            codes = nearest_step_codes(steps[param.name]) + np.int8(coarser)
            expected = dequantize(quantize(values[param.name], codes, param.axis), codes, param.axis)
        assert found[param.name].tobytes() == np.ascontiguousarray(expected, np.float32).tobytes(), param.name


def test_every_codec_of_a_tensor_is_understood() -> None:
    container, _, _ = packed(small_networks()[0])
    network, config, expected = unpack(container)
    entries = [list(entry) for entry in container.head["tens"]]
    payloads, position = [], 0
    for entry, param in zip(entries, network.params(config), strict=True):
        payload = container.data[position : position + entry[1]]
        position += entry[1]
        if param.role != "frequency":
            payload = expected[param.name].astype("<f4").tobytes()
            entry[0] = spec.RAW_F32
        entry[1] = len(payload)
        payloads.append(payload)
    found = unpack(Container({**container.head, "tens": entries}, b"".join(payloads)))[2]
    assert all(found[name].tobytes() == value.tobytes() for name, value in expected.items())


def test_a_lattice_is_for_frequencies_only() -> None:
    container, _, _ = packed(small_networks()[0])
    entries = [list(entry) for entry in container.head["tens"]]
    entries[1][0] = spec.LATTICE
    with pytest.raises(CorruptFile, match="frequency embedding"):
        unpack(Container({**container.head, "tens": entries}, container.data))


def test_a_missing_tensor_is_corrupt() -> None:
    container, _, _ = packed(small_networks()[3])
    with pytest.raises(CorruptFile, match="expected 8 tensors for siren.1, got 7"):
        unpack(Container({**container.head, "tens": container.head["tens"][:-1]}, container.data))


def test_unknown_network_and_missing_id() -> None:
    with pytest.raises(UnsupportedFile, match="unknown network 'sasnet.99'"):
        read_network({"net": ["sasnet.99"]})
    for missing in ([], [7]):
        with pytest.raises(CorruptFile, match="HEAD.net: expected a network id first"):
            read_network({"net": missing})


def test_more_parameters_than_the_limit_are_refused_before_they_are_made() -> None:
    container, _, _ = packed(small_networks()[0])
    with pytest.raises(LimitExceeded, match=r"HEAD: expected at most 10 elements, got \d+"):
        read_network(container.head, Limits(elements=10))


def test_nan_in_raw_floats_is_corrupt() -> None:
    network, config = small_networks()[3]
    container, _, _ = packed((network, config))
    entries = [list(entry) for entry in container.head["tens"]]
    first = np.full(network.params(config)[0].shape, np.nan, "<f4").tobytes()
    data = first + container.data[entries[0][1] :]
    entries[0][:] = spec.RAW_F32, len(first)
    with pytest.raises(CorruptFile, match="finite"):
        unpack(Container({**container.head, "tens": entries}, data))


def test_every_truncation_and_flip_of_the_data_is_an_error_or_other_numbers_but_never_a_crash() -> None:
    container, _, _ = packed(small_networks()[4])
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(container.data)
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        try:
            found = unpack(Container(container.head, bytes(data)))[2]
        except InrError:
            continue
        assert all(np.isfinite(value).all() for value in found.values())


def test_the_network_must_fit_axes_and_channels() -> None:
    container, _, _ = packed(small_networks()[0])
    with pytest.raises(CorruptFile, match="in_features: expected 1, the number of axes, got 2"):
        unpack(Container({**container.head, "axes": [{}]}, container.data))
    with pytest.raises(CorruptFile, match="out_features: expected 4"):
        unpack(Container({**container.head, "out": {"channels": [{}] * 4}}, container.data))


def test_frequencies_outside_the_band_are_corrupt() -> None:
    container, _, _ = packed(small_networks()[0])
    network, config, values = unpack(container)
    narrow = replace(config, band=10)
    with pytest.raises(CorruptFile, match="at most 10"):
        network.forward(NumpyOps(), narrow, values, Points(np.zeros((1, 2))))
