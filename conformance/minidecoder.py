"""A decoder of .inr files in one file, written from the text of the format, formats/inr-1.0.md, whose sections it follows and names.

It needs Python 3.11 and NumPy, for missing samples also zstd: Python 3.14, or the module zstandard or backports.zstd. Copy it into any
program. It is made to be read, and to be safe with any bytes; not to be fast.

    file = minidecoder.open(data)                          # bytes; InrError.code: 4 corrupt, 5 unsupported, 6 a limit exceeded
    file.head, file.params                                 # the map of section 2; float32 arrays by name
    file.decode(size=(48, 64), region=((0, 9), (0, 9)))    # codes, or samples of the file's own type; numbers=True: float64
    file.at([[0.0, 0.5]])                                  # numbers at coordinates, not clipped; of a shape its distances
"""

import bisect
import functools
import importlib
import itertools
import math
import re
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# What this reader takes; elements and numbers cost about 50 bytes each. Coding work: so much, and more for each byte of DATA.
MAX_CHUNKS, MAX_ANCILLARY, MAX_ELEMENTS, MAX_NUMBERS, CODING, CODING_PER_BYTE = 1024, 2**24, 2**25, 2**26, 2**20, 2**10
ORDER = "HEAD([a-z]...)*(DATA)+([a-z]...)*DONE"
BAND = 2**22  # section 11
MANTISSAS = np.array([8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775], np.float32)  # section 4
USAGE, CORRUPT, UNSUPPORTED, LIMIT, MISSING = 2, 4, 5, 6, 9
Array = NDArray[Any]
Model = tuple[list[int], list[int]]  # frequencies and starts of the letters


class InrError(Exception):
    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def need(condition: object, message: str, code: int = CORRUPT) -> None:
    if not condition:
        raise InrError(message, code)


def read_chunks(data: bytes, critical: str = "HEAD DATA DONE", order: str = ORDER, most: int = MAX_CHUNKS) -> list[tuple[bytes, bytes]]:
    """Section 1: letters and payload of every chunk. `critical`, `order` and `most` are those of files of level 1."""
    need(data[:8] == b"\x89INR\r\n\x1a\n", "an Inrimage volume" if data[:9] == b"#INRIMAGE" else "not an .inr file")
    chunks, at = list[tuple[bytes, bytes]](), 8
    while at < len(data):
        name, end = data[at + 4 : at + 8], at + 8 + int.from_bytes(data[at : at + 4], "little")
        need(end + 4 <= len(data), "the file ends within a chunk")
        need(name.isalpha() and name[2:3].isupper(), f"{name!r} is not the name of a chunk")
        need(zlib.crc32(data[at + 4 : end]) == int.from_bytes(data[end : end + 4], "little"), f"wrong CRC of {name!r}")
        need(name[:1].islower() or name.decode() in critical.split(), f"unknown critical chunk {name!r}", UNSUPPORTED)
        need(len(chunks) < most and (name[:1].isupper() or end - at - 8 <= MAX_ANCILLARY), "too many chunks, or too long ones", LIMIT)
        chunks.append((name, data[at + 8 : end]))
        at = end + 4
    names = b"".join(name for name, _ in chunks).decode()
    need(re.fullmatch(order, names) and not chunks[-1][1], "wrong order of chunks, or DONE is not empty")
    return chunks


# Canonical msgpack: tag, how its number is stored, the least magnitude for which that is the shortest form.
TAGS = "c4:B:0 c5:H:256 c6:I:65536 ca:f:0 cb:d:0 cc:B:128 cd:H:256 ce:I:65536 cf:Q:4294967296 d0:b:33 d1:h:129 d2:i:32769 d3:q:2147483649"
TAGS += " d9:B:32 da:H:256 db:I:65536 dc:H:16 dd:I:65536 de:H:16 df:I:65536"
FORMS = {int(tag, 16): (">" + form, int(least)) for tag, form, least in (entry.split(":") for entry in TAGS.split())}


def unpack(data: bytes, at: int, depth: int = 1) -> tuple[Any, int]:
    """Section 1, canonical msgpack: the value at a place, and where it ends."""
    need(at < len(data), "the map ends early")
    tag, at = data[at], at + 1
    if tag < 0x80 or tag >= 0xE0 or tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}.get(tag, tag - 256 * (tag >= 0xE0)), at
    value: Any = tag & (31 if tag >= 0xA0 else 15)
    if tag >= 0xC0:
        need(tag in FORMS and at + struct.calcsize(FORMS[tag][0]) <= len(data), "an extension type, or the map ends early")
        form, least = FORMS[tag]
        value, at = *struct.unpack_from(form, data, at), at + struct.calcsize(form)
        need(isinstance(value, float) or (abs(value) >= least and (value < 0) == form[1].islower()), "a number not in its shortest form")
    if isinstance(value, float):
        longer = tag == 0xCB and abs(value) < 3.402823467e38 and float(np.float32(value)) == value
        need(math.isfinite(value) and not longer, "a float that is not finite or not in its shortest form")
    if 0xCA <= tag <= 0xD3:
        return value, at
    if 0xA0 <= tag <= 0xC6 or 0xD9 <= tag <= 0xDB:
        need(value <= 2**16 and at + value <= len(data), "a string too long")
        raw, at = data[at : at + value], at + value
        text = raw.decode(errors="replace")
        need(tag in (0xC4, 0xC5, 0xC6) or (text.encode() == raw and unicodedata.is_normalized("NFC", text)), "a string not in UTF-8 or NFC")
        return raw if tag in (0xC4, 0xC5, 0xC6) else text, at
    need(depth <= 16 and value <= 4096, "nested too deep, or too many entries")
    items, step = list[Any](), 2 if tag < 0x90 or tag >= 0xDE else 1
    for _ in range(value * step):
        item, at = unpack(data, at, depth + 1)
        items.append(item)
    need(step == 1 or ascending(items[::2]), "keys that are not strings, not sorted or not distinct")
    return items if step == 1 else dict(zip(items[::2], items[1::2], strict=True)), at


def ascending(names: Any) -> bool:
    strings = type(names) is list and all(type(name) is str for name in names)
    return strings and all(a.encode() < b.encode() for a, b in itertools.pairwise(names))


# Sections 2 and 9: keys and rules, see `check`; with ? a key may be absent.
SINES = "in_features:int out_features:int hidden_features:int:1:8192 hidden_layers:int:0:64"
SASNET = "in_features:int out_features:int frequencies:int:1:8192 hidden_features:int:1:8192 hidden_layers:int:1:64 omega_0:float:5e-324"
SASNET += " period:float:5e-324 low:int:1:254 band:int:2:255 bands:int:1:254 groups:int:1:8192 mask_features:int:1:8192"
TABLES = {
    "HEAD": "kind:str level:int req:str* axes:AXIS*:1:4 out:OUT net:list tens:[ENTRY]* color?:COLOR space?:SPACE windows?:WINDOW opt?:dict",
    "AXIS": "name:str n:int:1:2147483648 lo?:float hi?:float",
    "OUT": "channels:CHANNEL*:1:4096 bits:int:1:16 dtype?:str valid?:bool:1:1 residual?:RESIDUAL",
    "RESIDUAL": "bound:float:0 step:float:5e-324 tolerance:float:5e-324",
    "CHANNEL": "name:str role:str scale:float offset:float low?:float high?:float",
    "SPACE": "spacing:float* affine?:float* units?:str",
    "WINDOW": "hop:int*:1:1 overlap:int*:1:1",
    "COLOR": "icc?:bool source?:str",
    "ENTRY": "codec:int length:int:0",
    "LEVEL": "scale:float:1e-45:3.4028235e38 resolution:int:1:1048576 entries:int:1:268435456 taps:int:2:4",
    "siren.1": SINES + " first_omega_0:float:5e-324 omega_0:float:5e-324",
    "msa.1": SINES + " s_min:float:-6:6 s_max:float:-6:6",
    "sasnet.1": SASNET + " grid_features:int:1:64 levels:[LEVEL]*:1:64 stretch:float*",
}
TABLES["sasnet.2"] = TABLES["sasnet.1"]
# Section 9.1, see compared.py: the tensors of a configuration, and its outputs as `network` has them.
OTHERS = dict[str, tuple[Callable[[dict[str, Any]], list[Any]], Callable[[dict[str, Any], dict[str, Array], Array], Array]]]()
KINDS, ROLES = ("image", "volume", "shape", "audio", "video", "field"), ("color", "alpha", "value", "sdf")
RANGES = {f"{u}int{b}": (0 if u else -(2 ** (b - 1)), 2 ** (b - 1 + len(u)) - 1) for u in ("", "u") for b in (8, 16, 32)}
RANGES |= {f"float{b}": (-math.inf, math.inf) for b in (16, 32, 64)}


def check(rule: str, value: Any, name: str) -> Any:
    """A value that keeps a rule: a type or a map of TABLES, in brackets a list in its order, which becomes a map; with * a list of such;
    then the bounds of the number, or of the list's length."""
    kind, *bounds = rule.split(":")
    if kind[-1] == "*":
        need(type(value) is list, f"{name} is not a list")
        value = [check(kind[:-1], entry, name) for entry in value]
    elif kind.strip("[]") in TABLES:
        rules = dict(field.split(":", 1) for field in TABLES[kind.strip("[]")].split())
        if kind[0] == "[":
            need(type(value) is list and len(value) == len(rules), f"{name} is not a list of {len(rules)} values")
            value = dict(zip(rules, value, strict=True))
        wanted, known = {key for key in rules if key[-1] != "?"}, {key.rstrip("?") for key in rules}
        need(type(value) is dict and wanted <= value.keys() <= known, f"{name} is not a map, or has missing or unknown keys")
        value = {key: check(rules[key if key in rules else key + "?"], entry, key) for key, entry in value.items()}
    else:
        need(type(value).__name__ == kind, f"{name} is of the wrong type")
    size = len(value) if kind[-1] == "*" else value
    need(not bounds or float(bounds[0]) <= size <= float([*bounds, "inf"][1]), f"{name} is out of range")
    return value


def read_map(payload: bytes) -> dict[str, Any]:
    """Section 2: the map of HEAD, of which only `req` is known to be a list of names."""
    need(len(payload) > 2, "HEAD is empty")
    need(payload[0] == 0, f"unknown major version {payload[0]}", UNSUPPORTED)
    need(len(payload) <= 2**20, "HEAD is too long", LIMIT)
    head, end = unpack(payload, 2)
    need(end == len(payload) and type(head) is dict and ascending(head.get("req")), "not one map with a sorted list req")
    return dict(head)


def check_head(head: dict[str, Any], icc: bool) -> dict[str, Any]:
    """Section 2: the map, if it is that of a file of level 1."""
    need({*head["req"]} <= {"residual"}, f"unknown features {head['req']}", UNSUPPORTED)
    check("HEAD", head, "HEAD")
    need(head["kind"] in KINDS and head["level"] == 1, "unknown kind or level", UNSUPPORTED)
    axes, out, d = head["axes"], head["out"], len(head["axes"])
    need(all(axis.get("lo", -1) < axis.get("hi", 1) for axis in axes), "an axis without extent")
    need(out.get("dtype", "float64") in RANGES, "unknown dtype")
    need("valid" not in out or "float" in out.get("dtype", ""), "valid, and not beside a floating dtype")
    need(("residual" in out) == bool(head["req"]) and ("residual" not in out or head["kind"] != "shape"), "a residual out of place")
    least, most = RANGES[out.get("dtype", "float64")]
    for channel in out["channels"]:
        right = channel["role"] in ROLES and least <= channel.get("low", 0.0) < channel.get("high", 1.0) <= most
        need(right and ("dtype" in out or not channel.keys() & {"low", "high"}), "wrong role, low or high")
    space = head.get("space", {"spacing": [0.0] * d})
    affine = space.get("affine", [0.0] * 4)
    need(len(space["spacing"]) == d and len(affine) in (4, 9, 16, 25)[:d], "spacing or affine of the wrong length")
    need(not head.get("color", {}).get("icc") or icc, "no iCCP chunk")
    if "windows" in head:
        [hop], [overlap] = head["windows"]["hop"], head["windows"]["overlap"]
        need(d == 1 and 1 <= hop < axes[0]["n"] and 2 <= overlap <= hop and overlap % 2 == 0, "wrong hop or overlap, or more than one axis")
    if head["kind"] == "shape":
        need(d == 3 and "dtype" in out and [c["role"] for c in out["channels"]] == ["sdf"] and len(affine) == 16, "not the HEAD of a shape")
        a, b, c = np.reshape(affine, (4, 4))[:3, :3]
        need(a @ np.cross(b, c) != 0, "a shape whose affine cannot be inverted")
    return head


def read_net(head: dict[str, Any]) -> dict[str, Any]:
    """Section 9: the configuration, and `tensors`, a list of (name, shape, axis), and `dense`, the names of the levels of section 10."""
    need(head["net"] and type(head["net"][0]) is str, "net without an id")
    name, *values = head["net"]
    need(name in TABLES and "." in name, f"unknown network {name!r:.99}", UNSUPPORTED)
    net = check(f"[{name}]", values, "net") | {"id": name, "dense": [], "tensors": []}
    d, c, h, layers = (net[key] for key in ("in_features", "out_features", "hidden_features", "hidden_layers"))
    need(d == len(head["axes"]) and c == len(head["out"]["channels"]), "a network that does not fit the axes and channels")
    need(net.get("s_min", 0) <= net.get("s_max", 0), "s_min above s_max")
    need(net.get("bands", 1) <= net.get("band", 1) - net.get("low", 0) and h % net.get("groups", 1) == 0, "low, band, bands or groups")
    tensors, first, enter, more = net["tensors"], ("first", h, d), h, 0
    if "levels" in net:
        f = net.setdefault("grid_features", 1) * len(net["levels"])
        need(all(float(np.float32(v["scale"])) == v["scale"] and v["taps"] != 3 for v in net["levels"]), "a level's scale or taps")
        need(len(net["stretch"]) == d and all(0 < s <= 1 for s in net["stretch"]), "stretch")
        dense = itertools.takewhile(lambda level: level["resolution"] > 1 and level["resolution"] ** d == level["entries"], net["levels"])
        net["dense"] = [f"grid.{i}" for i, _ in enumerate(dense)] if d in (2, 3) else []
    if name in OTHERS:
        tensors += OTHERS[name][0](net)
    elif "levels" in net:
        wide, groups = net["mask_features"], net["groups"]
        first, more = ("mask.1", net["bands"] + groups * layers, wide), f * (name == "sasnet.2")
        enter = net["frequencies"] + more
        tensors += [("frequency", (net["frequencies"], d), -1), ("phase", (net["frequencies"],), -1)]
        tensors += [(f"grid.{i}", (level["entries"], net["grid_features"]), 1) for i, level in enumerate(net["levels"])]
        tensors += [("mask.0.weight", (wide, f), 1), ("mask.0.bias", (wide,), -1)]
    rows = [first, *((f"hidden.{i}", h, h if i else enter) for i in range(layers)), ("out", c, h + more)]
    for row, height, width in rows if name not in OTHERS else []:
        tensors += [(f"{row}.weight", (height, width), 0), (f"{row}.bias", (height,), -1)]
    if "windows" in head:
        k = -(-head["axes"][0]["n"] // head["windows"]["hop"][0])
        net["tensors"] = [(a, s, x) if a == "frequency" else (a, (k, *s), 0 if math.prod(s) >= 16 else -1) for a, s, x in tensors]
    return dict(net)


def read_tensors(head: dict[str, Any], net: dict[str, Any], data: bytes) -> tuple[dict[str, Array], Array | None, Array | None]:
    """Section 3: the parameters by name; None, or which nominal samples are there (n, ...); None, or the residual (n, ..., channel)."""
    codecs, lengths, specs = [codec for codec, _ in head["tens"]], [length for _, length in head["tens"]], net["tensors"]
    need({*codecs} <= {0, 1, 3, 4, 6, 7, 8, 9, 10}, f"an unknown codec in {codecs}", UNSUPPORTED)
    own, contextual, masked, corrected = codecs[: len(specs)], 8 in codecs[: len(specs)], "valid" in head["out"], "residual" in head["out"]
    need(len(own) == len(specs) and not {7, 9, 10} & {*own}, "not the tensors of the network")
    need(codecs[len(specs) :] == [9] * contextual + [10] * corrected + [7] * masked, "not the tensors behind those of the network")
    grid, channels = tuple(axis["n"] for axis in head["axes"]), len(head["out"]["channels"])
    elements = sum(math.prod(shape) for _, shape, _ in specs) + math.prod(grid) * (masked + channels * corrected)
    need(elements <= MAX_ELEMENTS, "too many elements", LIMIT)
    planes = [(channels, band) for band in bands(grid)] if corrected and lengths[-1 - masked] else []
    work = 0
    for (name, shape, axis), codec in zip(specs, own, strict=True):
        if codec == 8 and name in net["dense"]:
            planes.append((shape[1], (net["levels"][int(name[5:])]["resolution"],) * len(grid)))
        work += (codec in (3, 6)) * math.prod(shape) + (codec == 6) * (shape[axis] if axis >= 0 else 1)
    work += sum(count * (math.prod(sizes) + 32 + 32 * sum((n - 1) << k for k, n in enumerate(sizes[::-1]))) for count, sizes in planes)
    need(work <= CODING + CODING_PER_BYTE * sum(lengths), "too much coding work", LIMIT)
    need(sum(lengths) == len(data), "lengths that do not sum to DATA")
    parts = [data[end - length : end] for length, end in zip(lengths, itertools.accumulate(lengths), strict=True)]
    need(net["dense"] or not contextual, "a context network without dense levels")
    context = context_net(parts[len(specs)], len(grid), net["grid_features"] * len(net["levels"])) if contextual else []
    params, levels = dict[str, Array](), list[Array]()
    for (name, shape, axis), codec, part in zip(specs, own, parts, strict=False):
        dense = contextual and name in net["dense"]
        need((codec == 4) == (name == "frequency") and codec != (0 if dense else 8), f"{name} must not have codec {codec}")
        if codec == 0:
            need(len(part) == 4 * math.prod(shape) and np.isfinite(np.frombuffer(part, "<f4")).all(), "too few or too many values, or NaN")
            params[name] = np.frombuffer(part, "<f4").astype(np.float32).reshape(shape)
        elif codec == 4:
            params[name] = lattice(part, *shape)
            need(np.abs(params[name]).max() <= net["band"], "a frequency beyond the band")
        else:
            along = [-1 if k == axis else 1 for k in range(len(shape))]
            steps, found = context_symbols(part, context, net, levels) if codec == 8 else plain_symbols(codec, part, shape, along)
            levels += [found.reshape(shape)] * dense
            params[name] = found.reshape(shape).astype(np.float32) * np.ldexp(MANTISSAS[steps % 8], steps // 8 - 23).reshape(along)
    added = residual(parts[-1 - masked], grid, channels) if corrected else None
    return params, mask(parts[-1], grid) if masked else None, added


def plain_symbols(codec: int, part: bytes, shape: tuple[int, ...], along: list[int]) -> tuple[Array, Array]:
    """Codecs 1, 3 and 6: the step codes (g,) and the symbols (n,); `along` is the shape in which step codes go with the elements."""
    n, g = math.prod(shape), shape[along.index(-1)] if -1 in along else 1
    need(len(part) > (5 if codec == 6 else 3 * g if codec == 3 else g), "a payload ends early")
    if codec == 6:
        both = Stream(part[5:]).take([model(*part[1:3])] * g + [model(*part[3:5])] * n)
        steps = both[:g] + int.from_bytes(part[:1], "little", signed=True)
        need(steps.min() >= -128 and steps.max() <= 127, "a step code beyond 8 bits")
        return steps, both[g:]
    steps, rest = np.frombuffer(part, "i1", g).astype(int), part[g:]
    if codec == 3:
        models = [model(*rest[2 * i : 2 * i + 2]) for i in range(g)]
        return steps, Stream(rest[2 * g :]).take([models[i] for i in np.broadcast_to(np.arange(g).reshape(along), shape).flat])
    need(rest[0] in (1, 2, 4) and len(rest) == 1 + n * rest[0], "a wrong width, or too few or too many symbols")
    return steps, np.frombuffer(rest[1:], f"<i{rest[0]}").astype(int)


def mask(frame: bytes, shape: tuple[int, ...]) -> Array:
    """Codec 7. The header and the blocks of the zstd frame are walked before anything is decompressed."""
    size = -(-math.prod(shape) // 8)
    need(len(frame) >= 6 and frame[:4] == b"\x28\xb5\x2f\xfd" and not frame[4] & 11, "not a zstd frame, or one with a dictionary")
    single = frame[4] >> 5 & 1
    width, at, block = (single, 2, 4, 8)[frame[4] >> 6], 6 - single, 0
    need((size if single else (8 + (frame[5] & 7)) << (7 + (frame[5] >> 3))) <= 2**27, "too large a window")
    need(width and int.from_bytes(frame[at : at + width], "little") + 256 * (width == 2) == size, "a frame that does not state the size")
    at += width
    while not block & 1:
        block = int.from_bytes(frame[at : at + 3], "little")
        at += 3 + (1 if block & 6 == 2 else block >> 3)
        need(at <= len(frame) and block & 6 != 6, "a damaged zstd frame")
    need(at + (frame[4] & 4) == len(frame), "not one whole zstd frame")
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
            bits = np.unpackbits(np.frombuffer(module.ZstdDecompressor().decompress(frame, size + 1), np.uint8))
        except ImportError:
            continue
        except module.ZstdError as error:
            raise InrError(f"zstd: {error}", CORRUPT) from error
        need(len(bits) == 8 * size and not bits[math.prod(shape) :].any(), "a mask of another size, or padding that is not zero")
        return np.asarray(np.logical_xor.accumulate(bits[: math.prod(shape)].reshape(shape).astype(bool), axis=0))
    raise InrError("this file needs zstd: Python 3.14, or the module zstandard or backports.zstd", MISSING)


@functools.cache
def model(z: int, t: int) -> Model:
    """Section 5."""
    need(z < 64 and t < 64, "a model's code beyond 63")
    n = functools.reduce(lambda n, _: n * 57052 >> 16, range(z), 64880)
    decay = functools.reduce(lambda d, _: d * 58386 >> 16, range(t), 65000)
    freq = [min(max(16384 - (n >> 2), 1), 16381)]
    rest = 16384 - freq[0]
    while len(freq) <= 2 * 4096 and 2 * (f := max(1, rest * decay >> 17)) + 1 <= rest:
        freq += [f, f]
        rest -= 2 * f
    return [*freq, rest], [*itertools.accumulate(freq, initial=0)]


def leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number in its shortest form, and where it ends."""
    size = next((k for k in range(5) if at + k < len(data) and data[at + k] < 128), 5)
    need(size < 5 and (data[at + size] or not size), "a number that is cut off, too long or not in its shortest form")
    return sum((data[at + k] & 127) << 7 * k for k in range(size + 1)), at + size + 1


class Stream:
    """Section 6: symbols in order."""

    def __init__(self, data: bytes) -> None:
        need(len(data) >= 2 and data[0] <= 10, "a stream without lanes, or with too many")
        lanes, (count, at) = 1 << data[0], leb128(data, 1)
        self.data, self.end, self.lane = data, at + 4 * lanes + 2 * count, 0
        need(self.end <= len(data), "a stream shorter than its words")
        self.states = [*struct.unpack_from(f"<{lanes}I", data, at)]
        self.words = iter(struct.unpack_from(f"<{count}H", data, at + 4 * lanes))
        need(min(self.states) >= 2**16, "a state below 2^16")

    def take(self, models: Iterable[Model], *, last: bool = True) -> Array:
        """The next symbols (n,), by their models; behind the last ones nothing may be left."""
        found = []
        for freq, start in models:
            x = self.states[self.lane]
            a = bisect.bisect_right(start, x & 16383) - 1
            x = freq[a] * (x >> 14) + (x & 16383) - start[a]
            if x < 2**16:
                x = x << 16 | next(self.words, -1)
                need(x >= 0, "a stream with too few words")
            self.states[self.lane] = x
            self.lane = (self.lane + 1) % len(self.states)
            size, odd = a + 1 >> 1, a & 1
            if a == len(freq) - 1:
                v, self.end = leb128(self.data, self.end)
                size, odd = size + (v >> 1), ~v & 1
                need(size <= 2**30, "a symbol beyond 2^30")
            found.append(size if odd else -size)
        over = last and ({*self.states} != {2**16} or self.end != len(self.data) or next(self.words, None) is not None)
        need(not over, "a stream that ends wrongly")
        return np.array(found, int)


def lattice(part: bytes, n: int, d: int) -> Array:
    """Section 7: the frequencies (n, d)."""
    need(len(part) >= 2 and part[0] and part[1] <= 24 and (2 * part[0] + 1) ** d <= 2**24, "a bound or Golomb-Rice code beyond its limits")
    (bound, low), bits = part[:2], np.unpackbits(np.frombuffer(part[2:], np.uint8)).tobytes()
    half, at, numbers = ((2 * bound + 1) ** d - 1) // 2, 0, [-1]
    for _ in range(n):
        end = bits.find(b"\0", at) + 1
        need(0 < end <= len(bits) - low, "the bits end early")
        gap = (end - 1 - at << low) + sum(bit << low - 1 - k for k, bit in enumerate(bits[end : end + low]))
        numbers.append(numbers[-1] + 1 + gap)
        at = end + low
    need(numbers[-1] < half, "a vector beyond the half lattice")
    need(len(bits) - at < 8 and not any(bits[at:]), "wrong padding")
    positive = np.indices([2 * bound + 1] * d, np.int16).reshape(d, -1).T[half + 1 :] - np.int16(bound)
    return positive[np.argsort(np.abs(positive).max(axis=1), kind="stable")[numbers[1:]]].astype(np.float32)


def network(net: dict[str, Any], params: dict[str, Array], x: Array, real: type) -> Array:
    """Section 9: outputs (n, c) of coordinates (n, d)."""
    if net["id"] in OTHERS:
        return OTHERS[net["id"]][1](net, {name: value.astype(float) for name, value in params.items()}, x).astype(real)
    p: dict[str, Array] = {name: value.astype(real) for name, value in params.items()}
    layers, h = net["hidden_layers"], net["hidden_features"]

    def linear(name: str, v: Array) -> Array:
        return np.asarray(v @ p[f"{name}.weight"].T + p[f"{name}.bias"])

    if "levels" not in net:
        scales = (10 ** np.linspace(net.get("s_min", 0), net.get("s_max", 0), h)).astype(np.float32).astype(float)
        for i, name in enumerate(["first", *(f"hidden.{i}" for i in range(layers))]):
            omega = scales if net["id"] == "msa.1" else net["omega_0" if i else "first_omega_0"]
            x = (np.sin(linear(name, x).astype(float) * omega) / scales).astype(real)
        return linear("out", x)
    f = grid_features(net, p, x)
    masks = np.exp(-np.logaddexp(0, -linear("mask.1", np.maximum(linear("mask.0", f), 0))))
    largest = np.abs(p["frequency"]).max(axis=1).astype(int)
    band = (largest - net["low"] - 1) * net["bands"] // (net["band"] - net["low"])
    s = np.sin(2 * np.pi / net["period"] * (x @ p["frequency"].T.astype(float)) + p["phase"]).astype(real)
    s *= np.where(largest > net["low"], masks[:, np.maximum(band, 0)], 1)
    more = [f] if net["id"] == "sasnet.2" else []
    for i in range(layers):
        s = np.sin(linear(f"hidden.{i}", np.hstack([s, *more]) if i == 0 else s).astype(float) * net["omega_0"]).astype(real)
        s *= np.repeat(masks[:, net["bands"] + i * net["groups"] :][:, : net["groups"]], h // net["groups"], axis=1)
    return linear("out", np.hstack([s, *more]))


def grid_features(net: dict[str, Any], p: dict[str, Array], x: Array) -> Array:
    """Section 9: (n, F * levels). Dimensions are counted from the last axis."""
    u = ((x * net["stretch"] + 1) / 2).astype(np.float32).astype(float)[:, ::-1]
    d, found = u.shape[1], []
    for i, level in enumerate(net["levels"]):
        table, side = p[f"grid.{i}"], level["resolution"]
        position = (level["scale"] * u + 0.5).astype(np.float32)
        corner, dense = np.floor(position).astype(int), level["entries"] >= side**d
        t = (position - corner).astype(table.dtype)
        cubic = [t**2 - (t + t**3) / 2, 1 - 2.5 * t**2 + 1.5 * t**3, t / 2 + 2 * t**2 - 1.5 * t**3, (t**3 - t**2) / 2]
        weights = [1 - t, t] if level["taps"] == 2 else cubic
        factors = [side**k % 2**32 for k in range(d)] if dense else [1, 2654435761, 805459861, 3674653429][:d]
        found.append(np.zeros((len(x), table.shape[1]), table.dtype))
        for e in itertools.product(range(level["taps"]), repeat=d):
            row = functools.reduce(np.add if dense else np.bitwise_xor, ((corner + e) * factors % 2**32).T) % 2**32 % level["entries"]
            found[-1] += math.prod(weights[e[k]][:, k, None] for k in range(d)) * table[row]
    return np.hstack(found)


# Section 10: E_j, none of which is so near to an integer that the rounding of exp could matter; and m(a).
DECAYS = [int(2**24 * math.exp(-1 / (8 * 2 ** (j / 4 - 4)))) for j in range(49)]
LOGS = np.array([max(k for k in range(129) if k == 0 or 2 ** (2 * k - 1) <= (1 + a) ** 32) for a in range(256)])


@functools.cache
def laplace(number: int) -> Model:
    """Section 10: the model (j, q) of number 8 j + q + 4."""
    q, e = number % 8 - 4, DECAYS[number // 8]
    p = [v >> 11 for v in itertools.accumulate(range(8 * 4098), lambda v, _: v * e >> 24, initial=2**24)]
    steps = [[a - b for a, b in itertools.pairwise(p[4 + s * q :: 8])] for s in (-1, 1)]
    k = next((k for k in range(1, 4096) if steps[0][k] < 1 or steps[1][k] < 1), 4096)
    freq = [max(1, step) for pair in zip(steps[0][:k], steps[1][:k], strict=True) for step in pair]
    freq.append(p[4 - q + 8 * k] + p[4 + q + 8 * k] + 1)
    return [16384 - sum(freq), *freq], [*itertools.accumulate([16384 - sum(freq), *freq[:-1]], initial=0)]


def context_net(part: bytes, d: int, planes: int) -> list[Array]:
    """Section 10: a1, a2, b and bias, for levels of d axes."""
    need(len(part) > 3 and 1 <= part[0] <= 64, "a context network without neurons, or with too many")
    x = {2: 11, 3: 21}[d]
    shapes = [(part[0], x + 1), (2, part[0]), (2, x), (2, planes)]
    ends = [*itertools.accumulate(a * b for a, b in shapes)]
    weights = Stream(part[3:]).take([model(*part[1:3])] * ends[-1])
    need(np.abs(weights).max() <= 2**15, "a weight beyond 2^15")
    return [values.reshape(shape) for values, shape in zip(np.split(weights, ends[:-1]), shapes, strict=True)]


def context_symbols(part: bytes, weights: list[Array], net: dict[str, Any], before: list[Array]) -> tuple[Array, Array]:
    """Codec 8: the step codes (F,) and the symbols (n, F) of the level behind those `before`."""
    level, d, f = len(before), net["in_features"], net["grid_features"]
    need(len(part) > f, "a payload ends early")
    stream, found, (*_, above, own) = Stream(part[f:]), list[Array](), (None, *(lev["resolution"] for lev in net["levels"][: level + 1]))
    for k in range(f):
        parent = before[-1][:, k].reshape((above,) * d) if level else None
        found.append(context_plane(stream, weights, (level, level * f + k), (own,) * d, parent, found[-1] if k else None))
    stream.take([])
    return np.frombuffer(part, "i1", f).astype(int), np.stack(found, axis=-1).reshape(-1, f)


def context_plane(
    stream: Stream, weights: list[Array], number: tuple[int, int], sizes: tuple[int, ...], parent: Array | None, last: Array | None
) -> Array:
    """Section 10: the symbols of one plane. `number`: of the level, and of the column of bias; `parent`: its plane of the level before;
    `last`: the plane of the feature before."""
    (a1, a2, b, bias), (level, column), d, now = weights, number, len(sizes), np.zeros([size + 4 for size in sizes], int)
    around = np.array([*itertools.product((-1, 0, 1), repeat=d)])
    seen = np.concatenate([around[: 3**d // 2], -2 * np.eye(d, dtype=int)])
    parent, last = (np.zeros(sizes, int) if plane is None else plane for plane in (parent, last))
    (own, above), padded = np.array([sizes, parent.shape])[:, :, None], np.pad(parent, 2)
    place = np.indices(sizes).reshape(d, -1)
    wave = 2 ** np.arange(d)[::-1] @ place
    order = np.argsort(wave, kind="stable")

    def c(v: Array) -> Array:
        return np.asarray(np.sign(v) * LOGS[np.minimum(np.abs(v), 255)])

    for vertices in np.split(order, np.flatnonzero(np.diff(wave[order])) + 1):
        at = place[:, vertices] + 2
        up = (2 * (at - 2) * (above - 1) + own - 1) // np.maximum(2 * (own - 1), 1) + 2
        near, over = (grid[(*(c[:, None] + o.T[..., None]),)] for grid, c, o in ((now, at, seen), (padded, up, around)))
        sums = np.abs(near[:-d]).sum(axis=0), over[3**d // 2], np.abs(over).sum(axis=0), last.flat[vertices]
        x = np.stack([*c(near), *map(c, sums), 0 * vertices + 16 * level])
        hidden = np.maximum(0, a1[:, :-1] @ x + 16 * a1[:, -1:])
        centre, scale = a2 @ hidden + 64 * (b @ x) + 1024 * bias[:, column, None]
        e = np.clip(centre + 4096 >> 13, -(2**23), 2**23)
        models = 8 * np.clip((scale + 8192 >> 14) + 16, 0, 48) + e - (e + 4 >> 3) * 8 + 4
        now[(*at,)] = symbols = (e + 4 >> 3) + stream.take(map(laplace, models.tolist()), last=False)
        need(np.abs(symbols).max() <= 2**30, "a symbol beyond 2^30")
    return now[(slice(2, -2),) * d]


def bands(grid: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Section 11: the axes of the bands that a residual is coded in."""
    n, sizes = math.prod(grid), [size for size in grid if size > 1]
    if len(sizes) < 2:
        sizes = [math.isqrt(n), -(-n // math.isqrt(n))]
    if len(sizes) == 4:
        sizes[:2] = [sizes[0] * sizes[1]]
    rows = max(1, BAND // math.prod(sizes[1:]))
    return [(min(rows, sizes[0] - row), *sizes[1:]) for row in range(0, sizes[0], rows)]


def residual(part: bytes, grid: tuple[int, ...], channels: int) -> Array:
    """Section 11: the integers (n, ..., channel)."""
    if not part:
        return np.zeros((*grid, channels), int)
    need(part[0] <= 16, "too many low bits")

    def sized(at: int) -> tuple[bytes, int]:
        length, at = leb128(part, at)
        need(at + length <= len(part), "a residual ends early")
        return part[at : at + length], at + length

    low, (described, at), found = part[0], sized(1), []
    weights = context_net(described, len(bands(grid)[0]), channels)
    for band in bands(grid):
        planes = list[Array]()
        for k in range(channels):
            data, at = sized(at)
            stream = Stream(data)
            planes.append(context_plane(stream, weights, (k, k), band, planes[-1] if k else None, None))
            stream.take([])
        high = np.stack(planes, axis=-1)
        need(np.abs(high).max() <= 2**30 >> low, "an integer too large")
        end = at + -(-high.size * low // 8)
        need(end <= len(part), "low bits end early")
        bits = np.unpackbits(np.frombuffer(part[at:end], np.uint8))
        need(not bits[high.size * low :].any(), "padding that is not zero")
        found.append((high << low) + (bits[: high.size * low].reshape(*high.shape, low) @ (1 << np.arange(low)[::-1])))
        at = end
    values, n = np.concatenate(found).reshape(-1, channels), math.prod(grid)
    need(at == len(part) and not values[n:].any(), "a residual that ends wrongly")
    return values[:n].reshape(*grid, channels)


class File:
    """Sections 8, 9 and 11, of a file's bytes; `real` is the type of all that is evaluated behind the positions in the hash grids, but for
    corrected samples whose tolerance asks for float64. Raises InrError."""

    def __init__(self, data: bytes, real: type = np.float32) -> None:
        chunks = read_chunks(data)
        self.head, self.real = check_head(read_map(chunks[0][1]), b"iCCP" in dict(chunks)), real
        self.net = read_net(self.head)
        self.params, self.valid, self.added = read_tensors(self.head, self.net, b"".join(body for name, body in chunks if name == b"DATA"))

    def decode(self, size: ArrayLike | None = None, region: ArrayLike | None = None, numbers: bool = False) -> Array:
        """The samples (m, ..., channel) of a grid of `size` (m, ...), or of its part in `region`, nominal (start, stop) per axis."""
        lo, hi, nominal = self.axes()
        out, d = self.head["out"], len(nominal)
        sizes = np.ravel(nominal if size is None else size).astype(int)
        start, stop = np.reshape([(0, n) for n in nominal] if region is None else region, (-1, 2)).T
        need(len(sizes) == len(start) == d and min(sizes) > 0, "size or region does not fit the axes", USAGE)
        need((start >= 0).all() and (start < stop).all() and (stop <= nominal).all(), "the region is outside", USAGE)
        finer = -(-nominal // sizes)
        first = np.minimum(np.floor(start * sizes / nominal + 0.5).astype(int), sizes - 1)
        count = np.maximum(np.floor(stop * sizes / nominal + 0.5).astype(int) - first, 1)
        need(math.prod((count * finer).tolist()) * len(out["channels"]) <= MAX_NUMBERS, "too many samples", LIMIT)
        index = [np.arange(a, b) for a, b in zip(first * finer, (first + count) * finer, strict=True)]
        x = [lo[k] + (index[k] + 0.5) / (sizes[k] * finer[k]) * (hi[k] - lo[k]) for k in range(d)]
        nearest = np.ix_(*((2 * index[k] + 1) * nominal[k] // (2 * sizes[k] * finer[k]) for k in range(d)))
        corrected, real = self.added is not None and (sizes == nominal).all(), self.real
        if corrected and out["residual"]["tolerance"] < 4e-5:
            real = np.float64
        blocks = np.stack([count, finer], axis=1).ravel()
        y = self.outputs(np.stack(np.meshgrid(*x, indexing="ij"), axis=-1).reshape(-1, d), real).reshape(*blocks, -1)
        there = np.ones(1, bool) if self.valid is None else self.valid[nearest].reshape(*blocks, 1)
        inner = tuple(range(1, 2 * d, 2))
        total, number = np.where(there, y, 0).sum(axis=inner), np.broadcast_to(there, y.shape).sum(axis=inner)
        v = self.numbers(np.where(number, total / np.maximum(number, 1), np.nan))
        dtype = out.get("dtype", "uint8" if out["bits"] <= 8 else "uint16")
        top = 1 if "dtype" in out else 2 ** out["bits"] - 1
        if corrected and self.added is not None:
            low, high = self.channels(low=0.0, high=1.0) * top
            v = np.clip(top * v + out["residual"]["step"] * self.added[nearest], low, low + (high - low))
            v = (v if "float" in dtype else np.floor(v + 0.5)).astype(dtype).astype(float) / top
        return v if numbers else (v if "float" in dtype else np.floor(v * top + 0.5)).astype(dtype)

    def at(self, points: ArrayLike) -> Array:
        """The numbers (n, channel) at coordinates (n, d): low + v * (high - low), without clipping; v where samples are codes."""
        x, (lo, hi, n) = np.asarray(points, float), self.axes()
        need(x.ndim == 2 and x.shape[1] == len(n) and np.isfinite(x).all(), "not finite points (n, d)", USAGE)
        place = np.clip(np.floor((x - lo) / (hi - lo) * n), 0, n - 1).astype(int)
        there = True if self.valid is None else self.valid[(*place.T,)][:, None]
        return self.numbers(np.where(there, self.outputs(x, self.real), np.nan), math.inf)

    def numbers(self, y: Array, most: float = 1) -> Array:
        """Numbers of outputs (..., channel), v limited to 0 .. `most`, or not if that is infinite."""
        scale, offset, low, high = self.channels(scale=1.0, offset=0.0, low=0.0, high=1.0)
        v = np.clip(scale * y + offset, 0 if most == 1 else -most, most)
        return np.asarray(low + v * (high - low))

    def channels(self, **keys: float) -> Array:
        """Values of all channels, (key, channel), and what they are if absent."""
        return np.array([[channel.get(*key) for channel in self.head["out"]["channels"]] for key in keys.items()])

    def axes(self) -> tuple[Array, Array, Array]:
        """Borders and nominal samples of the axes."""
        lo, hi, n = np.array([(axis.get("lo", -1.0), axis.get("hi", 1.0), axis["n"]) for axis in self.head["axes"]]).T
        return lo, hi, n.astype(int)

    @np.errstate(over="ignore", invalid="ignore")
    def outputs(self, x: Array, real: type) -> Array:
        """y (n, channel) at coordinates (n, d), in pieces for which a layer takes a few MiB."""
        piece = max(1, 2**20 // max(spec[1][-1] for spec in self.net["tensors"]))
        one = self.blended if "windows" in self.head else functools.partial(network, self.net, self.params)
        return np.concatenate([one(x[i : i + piece], real) for i in range(0, max(1, len(x)), piece)]).astype(float)

    def blended(self, x: Array, real: type) -> Array:
        """Section 8, windows."""
        [hop], [overlap], (lo, hi, n) = self.head["windows"]["hop"], self.head["windows"]["overlap"], self.axes()
        q = (n * ((x - lo) / (hi - lo)))[:, 0]
        y: Array = np.zeros((len(x), self.net["out_features"]), real)
        window = np.clip((q + overlap / 2) // hop, 0, -(-n // hop) - 1).astype(int)
        for w in sorted({*window, *(window - 1)} - {-1}):
            at = (window == w) | (window == w + 1) & (q <= (w + 1) * hop + overlap / 2)
            params = {name: value if name == "frequency" else value[w] for name, value in self.params.items()}
            found = network(self.net, params, (q[at, None] - (w + 0.5) * hop) * (2 / (hop + overlap)), real)
            t = np.clip((q[at, None] - w * hop) / overlap + 0.5, 0, 1)
            y[at] += np.where(w > 0, (t * t * (3 - 2 * t)).astype(real), 1) * (found - y[at])
        return y


open = File
