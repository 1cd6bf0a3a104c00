"""The tables of the format's texts are those of spec.py, and spec.py says what the package does."""

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from inrcodec import errors, spec
from inrcodec.limits import DEFAULT_LIMITS
from tools import make_schema, make_walkthrough, render_tables
from tools.render_tables import FORMATS, TABLES, TEXTS, put, rendered


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_texts_have_the_tables_of_the_specification(path: Path) -> None:
    text = path.read_text()
    assert rendered(text) == text
    spoiled = text.replace("| string |", "| text |", 1) if "| string |" in text else text.replace("| `image` |", "| `picture` |", 1)
    assert spoiled != text
    assert rendered(spoiled) == text


def test_every_table_is_in_a_text() -> None:
    used = {name for path in TEXTS for name in re.findall(r"<!-- table: ([^ ]+) -->", path.read_text())}
    assert used == set(TABLES)


def test_a_change_of_the_specification_changes_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEXTS[0].read_text()
    first, *others = spec.AXIS_FIELDS
    monkeypatch.setattr(spec, "AXIS_FIELDS", (replace(first, required=False), *others))
    assert rendered(text) != text


@pytest.mark.parametrize("text", ["<!-- table: axis -->\n", "<!-- table: nothing -->\n<!-- end -->\n", "<!-- end -->\n"])
def test_marks_that_are_wrong(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        rendered(text)


def test_the_tool_writes_only_what_has_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text.md"
    assert put(path, "a", "t", check=True) == 1 and not path.exists()
    assert "text.md" in capsys.readouterr().err
    assert put(path, "a", "t", check=False) == 0 and path.read_text() == "a"
    assert put(path, "a", "t", check=True) == 0


@pytest.mark.parametrize("tool", [render_tables, make_schema, make_walkthrough], ids=lambda tool: tool.__name__)
def test_the_tools_have_nothing_to_write(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["tool", "--check"])
    assert tool.main() == 0
    spoiled = tmp_path / "text"
    spoiled.write_text("<!-- table: axis -->\n<!-- end -->\n")
    monkeypatch.setattr(tool, *(("TEXTS", (spoiled,)) if tool is render_tables else ("PATH", spoiled)))
    assert tool.main() == 1


def test_cells_have_no_line_ends_and_no_bars() -> None:
    for name, table in TABLES.items():
        lines = table().splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, name
        assert all(line.startswith("| ") and line.endswith("|") for line in lines)


def test_errors_have_the_codes_of_the_package() -> None:
    classes = {"corrupt": errors.CorruptFile, "unsupported": errors.UnsupportedFile, "limit": errors.LimitExceeded}
    assert {name: code for code, (name, _) in spec.ERROR_CLASSES.items()} == {name: found.exit_code for name, found in classes.items()}


def test_limits_in_the_tables_are_those_of_the_package() -> None:
    assert "at most 1 MiB" in spec.CHUNKS[spec.HEAD] and DEFAULT_LIMITS.head_bytes == 1 << 20


def test_names_follow_the_rules_of_the_register() -> None:
    for name in (*spec.NETWORK_IDS, *spec.FEATURES):
        assert re.fullmatch(r"[a-z][a-z0-9._-]{0,63}", name) and not name.startswith("x.")
    assert all(re.search(r"\.[1-9][0-9]*$", name) for name in spec.NETWORK_IDS)
    assert all(name.isalpha() and name[1:3].isupper() for name in spec.CHUNKS)
    assert all(0 <= number < 1000 for number in spec.CODECS)
    assert {name for name in spec.CHUNKS if name[:1].isupper()} - set(spec.CRITICAL_CHUNKS) == set()


def test_the_magic_is_that_of_the_format() -> None:
    text = (FORMATS / "registry.md").read_text()
    magic = re.search(r"^0\tstring\t(\S+)\t", text, re.MULTILINE)
    assert magic and magic[1].encode().decode("unicode_escape").encode("latin-1") == spec.SIGNATURE
    assert f"`{spec.SIGNATURE.hex(' ')}`" in text and f"`{spec.HEAD.hex(' ')}`" in text
    assert text.count("application/vnd.inrcodec.inr") == 2


def test_numbers_of_a_range() -> None:
    assert render_tables.bounds(spec.Field("a", int, True, "", least=1, most=1 << 20)) == "1 to 2^20"
    assert render_tables.bounds(spec.Field("a", int, True, "", least=1, most=8192)) == "1 to 8192"
    assert render_tables.bounds(spec.Field("a", float, True, "", above=0)) == "above 0"
