"""One HTML page that decodes the file inside it: the decoder of web/, a viewer, and the bytes. It loads nothing from anywhere."""

import hashlib
import html
import math
import re
import zlib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inrcodec.container import Container, decompress, load
from inrcodec.decoder import Inr
from inrcodec.errors import LimitExceeded, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.structure import check_structure
from inrcodec.version import VERSION

HERE = Path(__file__).parent
ELEMENTS = 1 << 25  # of parameters, masks and residuals; what web/inr.js takes
BY_GPU = ("shaders.js", "layers.js", "gpu.js")
IN_WORKER = ("vectors.js", "trace.js", "worker.js")
IN_PAGE = ("vectors.js", "pool.js", "gestures.js", "keys.js", "painter.js", "plane.js", "shape.js", "line.js", "main.js")
MOVES = "Drag to move, wheel or pinch to zoom."
KEYS = "Keys: arrows, + and -, 0 for all"


def html_page(data: bytes, *, name: str, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """A page that shows the file of these bytes in a browser: images, volumes, videos and fields by slices, shapes, sound.

    name: of the file, for the title and for saving it. Raises what a damaged file raises, LimitExceeded for what is too large for the
    page's decoder.
    """
    container = load(data, limits)
    inr = Inr(container, len(data), backend="numpy", device="cpu", limits=limits)
    check_structure(inr)
    info = inr.info
    _check_decoder(info)
    view = "shape" if info["kind"] == "shape" else "line" if len(info["axes"]) == 1 else "plane"
    script, style = _scripts(IN_PAGE), _text("page.css").replace("\n", " ")
    summary, facts = summary_of(info), "".join(f"<dt>{_safe(key)}</dt><dd>{_safe(value)}</dd>" for key, value in facts_of(info))
    values = {
        "title": _safe(Path(name).stem),
        "name": _safe(Path(name).name),
        "version": VERSION,
        "view": view,
        "summary": _safe(summary),
        "label": _safe(f"{Path(name).stem}: {summary}"),
        "facts": facts,
        "help": _safe(_help(info, view)),
        "style": style,
        "style-hash": _hash(style),
        "script": script,
        "script-hash": _hash(script),
        "decoder": decoder_source(),
        "worker": _scripts((*BY_GPU, *IN_WORKER) if view == "plane" else IN_WORKER),
        "mask": b64encode(_mask(container)).decode(),
        "file": b64encode(data).decode(),
    }
    return re.sub("@([a-z-]+)@", lambda found: values[found[1]], _text("page.html")).encode()


def decoder_source() -> str:
    """web/inr.js as a classic script, from where it lies in a wheel or in the source tree."""
    inside, outside = HERE.parent / "web" / "inr.js", HERE.parents[1] / "web" / "inr.js"
    text = (inside if inside.exists() else outside).read_text(encoding="utf-8")
    plain = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return _inlined(f"const {{ parse }} = (() => {{\n{plain}\nreturn {{ parse }};\n}})();\n")


def summary_of(info: Mapping[str, Any]) -> str:
    """One line of what the file is."""
    size = " × ".join(str(axis["n"]) for axis in (reversed(info["axes"]) if info["kind"] == "image" else info["axes"]))
    kind = "sound" if info["kind"] == "audio" else info["kind"]
    return f"{kind} · {size} · {info['bytes']:,} bytes · {info['bpp']:.3g} bits per sample · {info['network']['id']}"


def facts_of(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of what belongs beside the picture."""
    space = info["space"]
    facts = [
        ("kind", info["kind"]),
        ("axes", ", ".join(f"{axis['name']} {axis['n']}" for axis in info["axes"])),
        ("channels", ", ".join(_channel(channel) for channel in info["channels"])),
        ("samples", info["dtype"] or f"{info['bits']} bits"),
        ("network", f"{info['network']['id']}, {info['parameters']:,} parameters"),
        ("format", f".inr {info['version']}, level {info['level']}"),
    ]
    if any(space.get("spacing", ())):
        facts.append(("spacing", f"{' × '.join(f'{step:g}' for step in space['spacing'])} {space.get('units', '')}".rstrip()))
    if info["residual"]:
        facts.append(("residual", "lossless" if not info["residual"]["bound"] else f"within {info['residual']['bound']:g} of the source"))
    if info["color"].get("icc"):
        facts.append(("colour", "with a profile, which this page takes for sRGB"))
    for metric in info["metrics"]:
        facts.append((str(metric.get("metric")), f"{_plain(metric.get('value'))} {metric.get('unit', '')}".rstrip()))
    return [*facts, *((str(key), _plain(value)) for key, value in info["provenance"].items())]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _channel(channel: Mapping[str, Any]) -> str:
    extent = f" {channel['low']:g} .. {channel['high']:g}" if "low" in channel and "high" in channel else ""
    return f"{channel['name']}{extent}"


def _help(info: Mapping[str, Any], view: str) -> str:
    if view == "line":
        return "Click to seek. Keys: space plays and pauses, arrows seek by a second." if info["kind"] == "audio" else "A curve."
    if view == "shape":
        return f"Drag to turn, with shift to move, wheel or pinch to zoom. {KEYS}."
    if len(info["axes"]) == 2:
        return f"{MOVES} {KEYS}, 1 for one sample a pixel."
    if info["kind"] == "video":
        return f"{MOVES} {KEYS}, 1 for one sample a pixel, space plays and pauses, page up and page down step."
    return f"Drag to move, wheel to step through slices, with shift or pinch to zoom. {KEYS}, page up and page down step."


def _check_decoder(info: Mapping[str, Any]) -> None:
    """Raise for what Python decodes and the page's decoder does not."""
    if info["tiles"] is not None:
        raise UsageError("html: expected a file of level 1, got one of tiles, which pages do not decode")
    elements = sum(math.prod(tensor["shape"]) for tensor in info["tensors"])
    if elements > ELEMENTS:
        raise LimitExceeded(f"html: {elements} elements of all tensors: expected at most {ELEMENTS}, which a page decodes")


def _mask(container: Container) -> bytes:
    """What the frame of missing samples holds, deflated; empty where there is none. Browsers have no zstd."""
    if not container.head["out"].get("valid"):
        return b""
    length, samples = container.head["tens"][-1][1], math.prod(axis["n"] for axis in container.head["axes"])
    return zlib.compress(decompress(container.data[len(container.data) - length :], -(-samples // 8), exact=True), 9)


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _scripts(names: tuple[str, ...]) -> str:
    return _inlined("\n".join(_text(name) for name in names))


def _inlined(script: str) -> str:
    """A script as the content of an element, which nothing in it may end."""
    if re.search(r"</script|<!--", script, re.IGNORECASE):
        raise AssertionError("a script of the page holds the end of its element")
    return script


def _safe(text: str) -> str:
    return html.escape(text, quote=True)


def _hash(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()
