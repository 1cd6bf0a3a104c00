"""Write the tables of the format's texts from inrcodec/spec.py, between `<!-- table: NAME -->` and `<!-- end -->`.

    python -m tools.render_tables [--check]

With --check nothing is written, and the program ends with 1 if a text is not as it would be written.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from inrcodec import spec

FORMATS = Path(__file__).resolve().parents[1] / "formats"
TEXTS = (FORMATS / "inr-1.0.md", FORMATS / "registry.md")
TYPES = {str: "string", int: "integer", float: "float", bool: "boolean", list: "list", dict: "map"}
MARKED = re.compile(r"(<!-- table: ([^ ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true")
    check: bool = parser.parse_args().check
    return max(put(path, rendered(path.read_text(encoding="utf-8")), "tools.render_tables", check=check) for path in TEXTS)


def put(path: Path, text: str, tool: str, *, check: bool) -> int:
    """Write a generated text if it has changed, or with `check` only say so: 1 if it had to be."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    if check:
        print(f"{path.name}: is not what `python -m {tool}` writes", file=sys.stderr)
        return 1
    path.write_text(text, encoding="utf-8")
    return 0


def rendered(text: str) -> str:
    """A text with all its tables made anew. Raises ValueError for a table that is not known or not closed."""

    def replace(match: re.Match[str]) -> str:
        start, name, end = match.groups()
        if name not in TABLES:
            raise ValueError(f"table: expected one of {', '.join(TABLES)}, got {name!r}")
        return f"{start}{TABLES[name]()}{end}"

    if text.count("<!-- table:") != len(MARKED.findall(text)) or text.count("<!-- table:") != text.count("<!-- end -->"):
        raise ValueError("expected `<!-- end -->` behind every table")
    return MARKED.sub(replace, text)


def table(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines).replace("|  ", "| ")


def fields(title: str, known: tuple[spec.Field, ...]) -> str:
    rows = [(f"`{field.key}`", TYPES[field.type], "yes" if field.required else "no", field.text) for field in known]
    return table((title, "type", "required", ""), rows)


def bounds(field: spec.Field) -> str:
    """What a number may be, or how many entries a list may have."""
    if field.among:
        return " or ".join(map(str, field.among))
    parts = [] if field.above is None else [f"above {field.above}"]
    if field.least is not None and field.most is not None:
        parts.append(f"{_number(field.least)} to {_number(field.most)}")
    return ", ".join(parts) + (" entries" if field.type is list else "")


def networks() -> str:
    """All values of all configurations, and the place of each in `net`."""
    own = [name for name in spec.NETWORK_FIELDS if name not in spec.COMPARED_FIELDS]
    rows = list(dict.fromkeys(field for name in own for field in spec.NETWORK_FIELDS[name]))

    def place(network: str, field: spec.Field) -> str:
        found = spec.NETWORK_FIELDS[network]
        return str(found.index(field) + 1) if field in found else ""

    titles = ["value", "type", "range", "", *(f"`{name}`" for name in own)]
    cells = [(f"`{field.key}`", TYPES[field.type], bounds(field), field.text, *(place(name, field) for name in own)) for field in rows]
    return table(titles, cells)


def compared() -> str:
    """The same of the networks of section 9.1, with the places in one column; the values that all have stand first."""
    rows = list(dict.fromkeys(field for network in spec.COMPARED_FIELDS.values() for field in network))

    def places(field: spec.Field) -> str:
        found = [f"`{name}` {fields.index(field) + 1}" for name, fields in spec.COMPARED_FIELDS.items() if field in fields]
        return ", ".join(found)

    cells = [(f"`{field.key}`", TYPES[field.type], bounds(field), field.text, places(field)) for field in rows]
    return table(("value", "type", "range", "", "places"), cells)


def level() -> str:
    return table(("level", "type", "range", ""), [(f"`{f.key}`", TYPES[f.type], bounds(f), f.text) for f in spec.LEVEL_FIELDS])


def chunks() -> str:
    return table(("chunk", "payload"), [(f"`{name.decode()}`", text) for name, text in spec.CHUNKS.items()])


def registered_chunks() -> str:
    """The same with what the letters say."""
    rows = []
    for name in spec.CHUNKS:
        letters = name.decode()
        kind = "critical" if letters[0].isupper() else "ancillary"
        copied = "" if letters[0].isupper() else "yes" if letters[3].islower() else "no"
        rows.append((f"`{letters}`", " ".join(f"{byte:02x}" for byte in name), kind, copied, spec.CHUNKS[name]))
    return table(("chunk", "bytes", "", "safe to copy", "payload"), rows)


def names(title: str, known: dict[str, str]) -> str:
    return table((title, ""), [(f"`{name}`", text) for name, text in known.items()])


def dtypes() -> str:
    def row(name: str) -> tuple[str, int, str]:
        bits = int(name.strip("uintfloa"))
        if name.startswith("float"):
            return f"`{name}`", bits // 8, f"IEEE 754 binary{bits}"
        low, high = (0, (1 << bits) - 1) if name.startswith("u") else (-(1 << bits - 1), (1 << bits - 1) - 1)
        return f"`{name}`", bits // 8, f"{low} .. {high}"

    return table(("dtype", "bytes", "numbers"), map(row, spec.DTYPES))


def codecs() -> str:
    return table(("codec", "name", "payload"), [(number, *texts) for number, texts in spec.CODECS.items()])


def errors() -> str:
    return table(("class", "code", ""), [(name, code, text) for code, (name, text) in spec.ERROR_CLASSES.items()])


def _number(value: float) -> str:
    exponent = int(value).bit_length() - 1
    return f"2^{exponent}" if value >= 1 << 16 and value == 1 << exponent else str(value)


TABLES: dict[str, Callable[[], str]] = {
    "head": lambda: fields("HEAD", spec.HEAD_FIELDS),
    "axis": lambda: fields("axis", spec.AXIS_FIELDS),
    "out": lambda: fields("out", spec.OUT_FIELDS),
    "residual": lambda: fields("residual", spec.RESIDUAL_FIELDS),
    "channel": lambda: fields("channel", spec.CHANNEL_FIELDS),
    "space": lambda: fields("space", spec.SPACE_FIELDS),
    "windows": lambda: fields("windows", spec.WINDOWS_FIELDS),
    "tiles": lambda: fields("tiles", spec.TILES_FIELDS),
    "color": lambda: fields("color", spec.COLOR_FIELDS),
    "tensor": lambda: fields("tensor", spec.TENSOR_FIELDS),
    "chunks": chunks,
    "registered-chunks": registered_chunks,
    "codecs": codecs,
    "networks": networks,
    "compared": compared,
    "level": level,
    "kinds": lambda: names("kind", spec.KIND_TEXTS),
    "roles": lambda: names("role", spec.ROLE_TEXTS),
    "dtypes": dtypes,
    "network-ids": lambda: names("network", spec.NETWORK_TEXTS),
    "compared-ids": lambda: names("network", spec.COMPARED_TEXTS),
    "features": lambda: names("feature", spec.FEATURE_TEXTS),
    "errors": errors,
}


if __name__ == "__main__":
    sys.exit(main())
