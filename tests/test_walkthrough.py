"""Every number of formats/walkthrough.md is computed again, and the file is read from the document alone."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance import minidecoder
from tests import walkthrough
from tools import make_walkthrough, small_files, walkthrough_facts

DOCUMENT = make_walkthrough.PATH.read_text()
DATA = make_walkthrough.FILE.read_bytes()
NUMBER = re.compile(r"(?<![\w.])-?[0-9a-f]*[0-9][0-9a-f]*(?:\.[0-9]+)?(?![\w])")


def tables(document: str, first: str) -> list[list[list[str]]]:
    """The tables whose titles begin so, as cells."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", document, re.MULTILINE):
        rows = [[cell.strip().strip("`") for cell in line.strip("|\n").split("|")] for line in block.splitlines()]
        if rows[0][0] == first:
            found.append([row for i, row in enumerate(rows) if i != 1])
    return found


def check(document: str, data: bytes) -> None:
    """Raise AssertionError, or another error for bytes that are no such file, unless the document is that of the file."""
    assert walkthrough.dumped(document) == data
    assert walkthrough.explained(document) == data
    assert document == expected(data)


@cache
def expected(data: bytes) -> str:
    return make_walkthrough.layout(walkthrough.facts(data))


def test_the_document_is_that_of_the_file() -> None:
    check(DOCUMENT, DATA)
    assert make_walkthrough.layout(walkthrough_facts.facts(DATA)) == DOCUMENT
    assert small_files.walkthrough().bytes() == DATA and len(DATA) < 400


def test_both_ways_to_the_numbers_agree() -> None:
    def close(a: Any, b: Any) -> bool:
        if isinstance(a, dict):
            return list(a) == list(b) and all(close(a[key], b[key]) for key in a)
        if isinstance(a, list | tuple):
            return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
        return bool(abs(a - b) < 1e-12) if isinstance(a, float) else bool(a == b)

    ours, theirs = walkthrough.facts(DATA), walkthrough_facts.facts(DATA)
    assert all(close(ours[key], theirs[key]) for key in ours) and set(ours) == set(theirs)


@pytest.mark.parametrize("place", range(len(DATA)))
def test_another_byte_of_the_file_is_seen(place: int) -> None:
    changed = DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :]
    with pytest.raises((AssertionError, ValueError, KeyError, IndexError)):
        check(DOCUMENT, changed)


def test_another_number_of_the_document_is_seen() -> None:
    places = [match.end() for match in NUMBER.finditer(DOCUMENT)]
    assert len(places) > 900
    for end in places:
        last = DOCUMENT[end - 1]
        changed = DOCUMENT[: end - 1] + ("1" if last == "0" else chr(ord(last) - 1) if last != "a" else "9") + DOCUMENT[end:]
        with pytest.raises(AssertionError):
            check(changed, DATA)


def test_the_rows_of_the_stream_follow_from_each_other() -> None:
    """From what is printed: the columns mean what their titles say."""
    (stream,), models = tables(DOCUMENT, "i"), tables(DOCUMENT, "letter")
    assert stream[0] == ["i", "group", "lane", "x", "slot", "letter", "freq", "start", "x'", "word", "state"]
    states = dict(enumerate(walkthrough.facts(DATA)["weights"]["states"]))
    for i, (number, group, lane, x, slot, letter, freq, start, after, word, state) in enumerate(stream[1:]):
        letters, freqs, starts = models[int(group)]
        k = letters.index(letter)
        assert (int(number), int(group), int(lane), int(x)) == (i, i // 2, i % 2, states[i % 2])
        assert (freqs[k], starts[k]) == (freq, start) and int(x) % 2**14 == int(slot)
        assert int(start) <= int(slot) < int(start) + int(freq)
        assert int(freq) * (int(x) >> 14) + int(slot) - int(start) == int(after)
        assert (int(after) < 2**16) == (word != "")
        states[i % 2] = int(after) * 2**16 + int(word) if word else int(after)
        assert states[i % 2] == int(state)
    assert set(states.values()) == {2**16}


def test_the_models_follow_from_their_rows() -> None:
    for rests, (letters, freqs, starts) in zip(tables(DOCUMENT, "K"), tables(DOCUMENT, "letter"), strict=True):
        numbers = [int(freq) for freq in freqs[1:]]
        assert sum(numbers) == 2**14 and [int(start) for start in starts[1:]] == [sum(numbers[:k]) for k in range(len(numbers))]
        for k, rem, f, rest in rests[1:]:
            assert int(rem) - 2 * int(f) == int(rest) and freqs[letters.index(f"+{k}")] == freqs[letters.index(f"-{k}")] == f
        assert letters[-1] == "ESC" and freqs[-1] == rests[-1][3] and letters[1] == "0"
        assert 2**14 - numbers[0] == int(rests[1][1])


def test_the_steps_and_the_sample_follow_from_their_rows() -> None:
    for table in tables(DOCUMENT, "code"):
        for code, octave, eighth, mantissa, step in table[1:]:
            assert 8 * int(octave) + int(eighth) == int(code) and 0 <= int(eighth) < 8
            assert np.float32(step) == int(mantissa) * 2.0 ** (int(octave) - 23)
    for table in tables(DOCUMENT, "neuron"):
        if table[0][1] == "symbols":
            for _, symbols, step, weights in table[1:]:
                products = [np.float32(symbol) * np.float32(step) for symbol in symbols.split(", ")]
                assert products == [np.float32(weight) for weight in weights.split(", ")]
        else:
            assert table[0][1:] == ["z", "argument", "sine", "product"]
            assert all(abs(np.sin(float(row[2])) - float(row[3])) < 2e-6 for row in table[1:])
            total = sum(float(row[4]) for row in table[1:]) - 0.125
            said = re.search(r"is y = ([0-9.]+); v = .* = ([0-9.]+); times 2\^M - 1 that is\n([0-9.]+); the code is ([0-9]+),", DOCUMENT)
            assert said and abs(total - float(said[1])) < 1e-5 and abs(0.5 * total + 0.5 - float(said[2])) < 1e-5
            assert abs(float(said[2]) * 255 - float(said[3])) < 1e-3 and int(float(said[3]) + 0.5) == int(said[4])
            assert DOCUMENT.split("```")[-2].split()[1 * 5 + 3] == said[4]


def test_a_reader_needs_only_the_document() -> None:
    """The hex dump back into bytes, these through the decoder in one file."""
    read, kept = minidecoder.open(walkthrough.dumped(DOCUMENT)), minidecoder.open(DATA)
    assert read.head == kept.head and list(read.params) == list(kept.params)
    assert all(np.array_equal(read.params[name], kept.params[name]) for name in kept.params)
    said = [float(value) for row in tables(DOCUMENT, "neuron")[0][1:] for value in row[3].split(", ")]
    assert np.array_equal(read.params["first.weight"].ravel(), np.array(said, np.float32))
    listed = [[float(v) for v in line.split(", ")] for line in re.findall(r"^The values are (.*)\.$", DOCUMENT, re.MULTILINE)]
    assert [np.float32(values).tolist() for values in listed] == [
        read.params[name].ravel().tolist() for name in ("first.bias", "out.weight")
    ]
    grid = np.array(DOCUMENT.split("```")[-2].split(), int)
    assert np.array_equal(read.decode().ravel(), grid)


def test_the_text_links_its_companions() -> None:
    folder: Path = make_walkthrough.PATH.parent
    text = (folder / "inr-1.0.md").read_text()
    for name in ("walkthrough.md", "registry.md", "head.schema.json", "inr.ksy"):
        assert f"]({name})" in text and (folder / name).exists()
