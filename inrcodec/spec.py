"""The facts of the .inr format, in one place: reader, writer, text and tests take them from here.

Layout of a file (all integers little-endian):

    signature  89 49 4E 52 0D 0A 1A 0A
    chunk*     u32 length | 4 letters | payload[length] | u32 CRC-32 over letters and payload

First HEAD, then DATA (one or more, adjacent; before them TILE in a tiled file), ancillary chunks anywhere between HEAD and DONE but not
inside the run of DATA, last DONE (empty). Letters follow PNG: a small first letter marks an ancillary chunk, a small second letter a
private one, a small fourth letter one that is safe to copy. Identifiers below are literals: append only, never renumbered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SIGNATURE = b"\x89INR\r\n\x1a\n"
INRIMAGE_SIGNATURE = b"#INRIMAGE"  # an older volume format with the same suffix
MAJOR = 0  # an unknown major version is refused
MINOR = 1  # minor versions only add what HEAD.req announces
MAX_CHUNK_LENGTH = (1 << 31) - 1
CHUNK_BYTES = 12  # of a chunk beside its payload

HEAD = b"HEAD"  # u8 major, u8 minor, one canonical msgpack map
TILE = b"TILE"  # where the tiles are, and what each one's DATA holds
DATA = b"DATA"  # tensor payloads, in the order of HEAD.tens, cut anywhere
DONE = b"DONE"  # empty; its absence shows a truncated file
CRITICAL_CHUNKS = (HEAD, TILE, DATA, DONE)
ICC = b"iCCP"
EXIF = b"eXIf"
XMP = b"xMPp"
PROVENANCE = b"pROV"
METRICS = b"mTRC"
CHUNKS = {  # letters and what the payload is
    HEAD: f"u8 major = {MAJOR}, u8 minor, then one map (section 2) of canonical msgpack; at most 1 MiB",
    TILE: "beside `HEAD.tiles` only: the tiles and their tensors (section 13)",
    DATA: "the tensors' payloads one after the other in the order of `HEAD.tens`, cut into chunks anywhere; with tiles as section 13 says",
    DONE: "empty",
    ICC: "ICC profile, one zstd frame",
    EXIF: "EXIF from its TIFF header on; its orientation is 1, readers MUST ignore it",
    XMP: "XMP packet",
    PROVENANCE: "how the file was made, a map of canonical msgpack",
    METRICS: "what was measured on the decoded file, a map of canonical msgpack with the key `metrics`: a list of maps",
    b"mETa": "reserved: user tags",
    b"tHMB": "reserved: preview",
    b"hASH": "reserved: content digest",
}
ANCILLARY_CHUNKS = tuple(name for name in CHUNKS if name[:1].islower())

KIND_TEXTS = {
    "image": "a picture, axes `y`, `x`",
    "volume": "numbers measured or computed on a grid, axes `z`, `y`, `x` or others",
    "shape": "a surface, as signed distances in a box (section 8)",
    "audio": "sound, axis `t`",
    "video": "pictures in time, axes `t`, `y`, `x`",
    "field": "any other function of its coordinates",
}
KINDS = tuple(KIND_TEXTS)
ROLE_TEXTS = {
    "color": "a component of a colour, or grey",
    "alpha": "opacity, 0 is transparent; the colours are not multiplied by it",
    "value": "a number that is measured or computed",
    "sdf": "a signed distance to a surface, negative inside; what a shape has",
}
ROLES = tuple(ROLE_TEXTS)
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")  # of samples that are numbers
NETWORK_TEXTS = {
    "siren.1": "multilayer perceptron with sines",
    "msa.1": "the same with a frequency of its own for every neuron",
    "sasnet.1": "sines of frozen frequencies, masked by a hash grid",
    "sasnet.2": "the same, with the grid's features also in the first hidden layer and the output",
}
COMPARED_TEXTS = {  # what a reader may be without
    "ffn.1": "Fourier features before a perceptron with rectifiers",
    "pemlp.1": "octaves of every coordinate before such a perceptron",
    "gauss.1": "perceptron with Gaussian activations",
    "wire.1": "perceptron with complex Gabor wavelets",
    "finer.1": "perceptron with sines whose frequency grows with their argument",
    "staf.1": "perceptron whose activations are trained sums of sines",
    "sape.1": "Fourier features that a grid lets in place by place, before a perceptron with rectifiers",
    "ngp.1": "a hash grid before a perceptron with rectifiers",
    "rbf.1": "radial functions and a hash grid before a perceptron with rectifiers",
    "msa-masked.1": "`msa.1` with neurons that are masked by a hash grid",
    "sasnet-unmasked.1": "`sasnet.1` without masks",
    "sasnet-ablation.1": "`sasnet.1` with masks in some layers, or without its frozen frequencies",
}
NETWORK_IDS = (*NETWORK_TEXTS, *COMPARED_TEXTS)

# How the bytes of a tensor are coded (HEAD.tens[i].codec). 2 and 5, once symbols and floats in zstd frames, stay unused.
RAW_F32 = 0
RAW_INT = 1
RANS = 3
LATTICE = 4
RANS_SHARED = 6
MASK = 7
CONTEXT = 8
CONTEXT_NET = 9
RESIDUAL = 10
TILED = 11
CODECS = {  # number: name, what the payload is
    RAW_F32: ("raw-f32", "float32 values"),
    RAW_INT: ("raw-int", "i8 step code[g], u8 width, symbols as integers of that width"),
    RANS: ("rans", "i8 step code[g], (u8 zero code, u8 decay code)[g], a symbol stream (section 6)"),
    LATTICE: ("lattice", "a lattice subset (section 7); for frequency embeddings, which MUST have it, and for nothing else"),
    RANS_SHARED: (
        "rans-shared",
        "i8 base, u8 zero code and u8 decay code of step codes, the same of symbols, a symbol stream (section 6)",
    ),
    MASK: ("mask", "one zstd frame of bits; for missing samples only"),
    CONTEXT: (
        "context",
        "i8 step code[g], a symbol stream whose models a context network gives (section 10); for dense grid levels only",
    ),
    CONTEXT_NET: ("context-net", "that network (section 10); behind the tensors of the network only"),
    RESIDUAL: ("residual", "integers on the nominal grid (section 11); last, but for a mask"),
    TILED: ("tiled", "empty: every tile has this tensor for itself (section 13); beside `tiles` only"),
}
CODEC_NAMES = {number: name for number, (name, _) in CODECS.items()}

# Names in HEAD.req: what a reader must know and would not find out by an unknown id or chunk.
RESIDUAL_FEATURE = "residual"
TILES_FEATURE = "tiles"
FEATURE_TEXTS = {
    RESIDUAL_FEATURE: "samples of the nominal grid are corrected, `out.residual` (section 11)",
    TILES_FEATURE: "the nominal grid is cut into boxes with networks of their own, `tiles` (section 13)",
}
FEATURES = tuple(FEATURE_TEXTS)

ERROR_CLASSES = {  # exit code: name, text
    4: ("corrupt", "the file is damaged or does not follow this text"),
    5: (
        "unsupported",
        "a newer reader may read it: an unknown major version, critical chunk, name in `req`, kind, level, codec or network",
    ),
    6: ("limit", "it is more than this reader takes: rule 6 of section 1, a `HEAD` beyond 1 MiB, or more samples or work than it does"),
}

# A residual of at least this tolerance suits float32 evaluation, which keeps within 2e-5 of exact values; any other wants float64.
FLOAT32_TOLERANCE = 4e-5
FLOAT64_TOLERANCE = 1e-9

# Quantization: value = f32(symbol) * step, step = STEP_MANTISSAS[code mod 8] * 2^(code div 8), one float32 product.
# The mantissas are 2^(i/8) rounded to float32, written as exact binary fractions of 2^23.
STEP_MANTISSAS = (8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775)
STEP_CODE_MIN = -128  # stored as i8
STEP_CODE_MAX = 127

# rANS: 32-bit states in [2^16, 2^32), 16-bit words, tables of 2^14.
RANS_PRECISION = 14
RANS_LOW = 1 << 16
RANS_MAX_LANES_LOG2 = 10
# Symbol models: P(0) and the decay of the tail, both from integer recurrences (entropy.py, spec section "models").
ZERO_CODES = 64
DECAY_CODES = 64
# floor(2^24 exp(-1 / (8 s))) for the scales s = 2^(j/4 - 4) of Laplace distributions, j = 0..48.
LAPLACE_RATIOS = (
    *(2270549, 3121235, 4078821, 5108034, 6171992, 7236410, 8272319, 9257353, 10175895, 11018476, 11780768, 12462448, 13066108),
    *(13596299, 14058751, 14459778, 14805841, 15103246, 15357952, 15575455, 15760735, 15918242, 16051906, 16165172, 16261035),
    *(16342086, 16410554, 16468350, 16517109, 16558221, 16592872, 16622066, 16646654, 16667359, 16684789, 16699460, 16711807),
    *(16722197, 16730938, 16738293, 16744479, 16749684, 16754061, 16757743, 16760839, 16763444, 16765634, 16767476, 16769025),
)


@dataclass(frozen=True)
class Field:
    """One key of a map of HEAD, or one value of a list: its msgpack type, whether it must be there, what it says, what it may be."""

    key: str
    type: type
    required: bool
    text: str  # of the table in the format's text
    least: float | None = None  # of a number; of a list, the number of entries
    most: float | None = None
    above: float | None = None  # a number is greater than this
    among: tuple[Any, ...] = ()  # the value is one of these
    each: "Field | None" = None  # what every entry of a list is
    fields: "tuple[Field, ...]" = ()  # of a map; of a list, its entries in their order
    later: bool = False  # what this version has not, a later one may have: unsupported, not corrupt


def entry(kind: type, **facts: Any) -> Field:
    """What every entry of a list is."""
    return Field("", kind, True, "", **facts)


def one_of(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    *others, last = [f"`{name}`" for name in names]
    return f"{', '.join(others)} or {last}" if others else last


AXIS_FIELDS = (
    Field("name", str, True, "`y`, `x`, `z`, `t` ..."),
    Field("n", int, True, "nominal number of samples, 1 to 2^31", least=1, most=1 << 31),
    Field("lo", float, False, "coordinate of the lower border of the first sample, -1 if absent"),
    Field("hi", float, False, "coordinate of the upper border of the last sample, above `lo`, 1 if absent"),
)
RESIDUAL_FIELDS = (
    Field("bound", float, True, "decoded nominal samples are within it of the source's, in their units; 0: they are the same", least=0),
    Field("step", float, True, "what 1 in the residual adds to a sample, above 0", above=0),
    Field("tolerance", float, True, "how far v may be from its exact value for the bound to hold, above 0", above=0),
)
CHANNEL_FIELDS = (
    Field("name", str, True, "`R`, `G`, `B`, `A`, `Y` ..."),
    Field("role", str, True, one_of(ROLES), among=ROLES),
    Field("scale", float, True, "v = scale * y + offset, y the network's output"),
    Field("offset", float, True, "see `scale`"),
    Field("low", float, False, "sample of v = 0, 0 if absent; beside `dtype` only, within an integer type's range"),
    Field("high", float, False, "sample of v = 1, 1 if absent, above `low`; beside `dtype` only, within an integer type's range"),
)
OUT_FIELDS = (
    Field("channels", list, True, "1 to 4096 maps, one per output", least=1, most=4096, each=entry(dict, fields=CHANNEL_FIELDS)),
    Field("bits", int, True, "bit depth M of the source, 1 to 16: code = floor(clip(v, 0, 1) * (2^M - 1) + 0.5)", least=1, most=16),
    Field("dtype", str, False, f"{one_of(DTYPES)}: samples are numbers of this type (section 8), and not codes", among=DTYPES),
    Field(
        "valid",
        bool,
        False,
        "true: the last tensor says which samples the source has (section 8); beside a floating `dtype` only. MUST NOT be false",
        among=(True,),
    ),
    Field(
        "residual",
        dict,
        False,
        "what is added to the function's samples on the nominal grid (section 11); of no shape",
        fields=RESIDUAL_FIELDS,
    ),
)
COLOR_FIELDS = (
    Field("icc", bool, False, "true: an `iCCP` chunk, which MUST be there, says the colour space; otherwise it is sRGB"),
    Field("source", str, False, "how the source stored its samples, for information"),
)
SPACE_FIELDS = (
    Field(
        "spacing",
        list,
        True,
        "one float per axis, the distance of neighbouring samples in `units` (seconds along `t`); 0: unknown",
        least=1,
        most=4,
        each=entry(float),
    ),
    Field(
        "affine",
        list,
        False,
        "(d + 1)^2 floats, a matrix row by row: it takes the nominal indices of the last d axes, in the order of `axes`, and 1 to world"
        " coordinates and 1",
        least=4,
        most=25,
        each=entry(float),
    ),
    Field("units", str, False, "of the world: `mm`, `m`, `s` ..."),
)
WINDOWS_FIELDS = (  # this version has windows along the only axis of a signal
    Field("hop", list, True, "one integer per axis, nominal samples from window to window, 1 to n - 1", least=1, most=1, each=entry(int)),
    Field(
        "overlap",
        list,
        True,
        "one even integer per axis, nominal samples that neighbours share, 2 to the hop",
        least=1,
        most=1,
        each=entry(int),
    ),
)
TILES_FIELDS = (
    Field(
        "overlap",
        list,
        True,
        "one even integer per axis, V, nominal samples in which neighbours are blended, at least 2",
        least=1,
        most=4,
        each=entry(int, least=2, most=1 << 31),
    ),
)
MAX_SPLITS = 64  # one below the other
TENSOR_FIELDS = (  # the entries of a list
    Field("codec", int, True, "how its payload is coded (section 3)", among=tuple(CODECS), later=True),
    Field("length", int, True, "bytes of its payload, 0 or more", least=0),
)
HEAD_FIELDS = (
    Field("kind", str, True, one_of(KINDS), among=KINDS, later=True),
    Field("level", int, True, "2 beside `tiles`, else 1", among=(1, 2), later=True),
    Field(
        "req",
        list,
        True,
        "names of the features a reader must know, strings, sorted by their UTF-8 bytes, none twice; in this version"
        f" {one_of(FEATURES)} (sections 11, 13)",
        each=entry(str, among=FEATURES, later=True),
    ),
    Field("axes", list, True, "1 to 4 maps, one per axis, slowest first", least=1, most=4, each=entry(dict, fields=AXIS_FIELDS)),
    Field("out", dict, True, "what the outputs mean", fields=OUT_FIELDS),
    Field("color", dict, False, "colour of an image", fields=COLOR_FIELDS),
    Field("space", dict, False, "where the samples lie in the world", fields=SPACE_FIELDS),
    Field("net", list, True, "id of the network, a string, then the values of its configuration (section 9)"),
    Field("tens", list, True, "one list per tensor of the network, in the order of `DATA`", each=entry(list, fields=TENSOR_FIELDS)),
    Field("windows", dict, False, "one network per window of the axis (section 8)", fields=WINDOWS_FIELDS),
    Field("tiles", dict, False, "one network per tile of the nominal grid (section 13)", fields=TILES_FIELDS),
    Field("opt", dict, False, "whatever readers may ignore"),
)

LEVEL_FIELDS = (  # a level of a hash grid, a list
    Field("scale", float, True, "exactly a float32", above=0),
    Field("resolution", int, True, "vertices per axis, R", least=1, most=1 << 20),
    Field("entries", int, True, "rows of its table, n", least=1, most=1 << 28),
    Field("taps", int, True, "vertices per axis that a feature is made of", among=(2, 4)),
)
_OMEGA = Field("omega_0", float, True, "of the hidden layers", above=0)
_MLP_FIELDS = (
    Field("in_features", int, True, "d, the number of axes", least=1, most=4),
    Field("out_features", int, True, "c, the number of channels", least=1, most=4096),
    Field("hidden_features", int, True, "h, neurons of a hidden layer", least=1, most=8192),
    Field("hidden_layers", int, True, "behind the first one", least=0, most=64),
)
_SASNET_FIELDS = (
    *_MLP_FIELDS[:2],
    Field("frequencies", int, True, "n0, width of the embedding", least=1, most=8192),
    _MLP_FIELDS[2],
    Field("hidden_layers", int, True, "behind the embedding", least=1, most=64),
    _OMEGA,
    Field("period", float, True, "of the embedding, in coordinates", above=0),
    Field("low", int, True, "L, max\\|k\\| of the frequencies that are not masked", least=1, most=254),
    Field("band", int, True, "B, bound of max\\|k\\|, above `low`", least=2, most=255),
    Field("bands", int, True, "masked groups of frequencies, at most `band` - `low`", least=1, most=254),
    Field("groups", int, True, "of neurons, in each hidden layer; a divisor of `hidden_features`", least=1, most=8192),
    Field("mask_features", int, True, "hidden neurons behind the masks", least=1, most=8192),
    Field("grid_features", int, True, "F, features per level", least=1, most=64),
    Field("levels", list, True, "of the hash grid, each a list as below", least=1, most=64, each=entry(list, fields=LEVEL_FIELDS)),
    Field("stretch", list, True, "one float per axis, above 0 and at most 1", least=1, most=4, each=entry(float, above=0, most=1)),
)
NETWORK_FIELDS = {  # the values of HEAD.net behind the id, in their order
    "siren.1": (*_MLP_FIELDS, Field("first_omega_0", float, True, "of the first layer", above=0), _OMEGA),
    "msa.1": (
        *_MLP_FIELDS,
        Field("s_min", float, True, "decadic logarithm of the least frequency, at most `s_max`", least=-6, most=6),
        Field("s_max", float, True, "of the greatest frequency", least=-6, most=6),
    ),
    "sasnet.1": _SASNET_FIELDS,
    "sasnet.2": _SASNET_FIELDS,
}

_FIRST_OMEGA = NETWORK_FIELDS["siren.1"][4]
_SCALE = Field("scale", float, True, "of the Gaussian", above=0)
_BAND = Field("band", int, True, "B, bound of max\\|k\\|", least=1, most=255)
_EMBEDDING_FIELDS = (_SASNET_FIELDS[2], _SASNET_FIELDS[6], _BAND)  # frequencies, period
_GRID_FIELDS = _SASNET_FIELDS[12:]  # grid_features, levels, stretch
_NGP_FIELDS = (*_MLP_FIELDS, *_GRID_FIELDS)
COMPARED_FIELDS = {  # likewise
    "ffn.1": (*_MLP_FIELDS, *_EMBEDDING_FIELDS),
    "pemlp.1": (*_MLP_FIELDS, Field("octaves", int, True, "frequencies of every coordinate", least=1, most=24)),
    "gauss.1": (*_MLP_FIELDS, _SCALE),
    "wire.1": (*_MLP_FIELDS, _FIRST_OMEGA, _OMEGA, _SCALE),
    "finer.1": (*_MLP_FIELDS, _FIRST_OMEGA, _OMEGA),
    "staf.1": (*_MLP_FIELDS, Field("sines", int, True, "T, of a layer's activation", least=1, most=64)),
    "sape.1": (
        *_MLP_FIELDS,
        *_EMBEDDING_FIELDS,
        Field("levels", list, True, "of the grid: one, with one feature", least=1, most=1, each=entry(list, fields=LEVEL_FIELDS)),
        _SASNET_FIELDS[14],
    ),
    "ngp.1": _NGP_FIELDS,
    "rbf.1": (*_NGP_FIELDS, Field("centres", int, True, "C, of radial functions", least=1, most=8192), _OMEGA),
    "msa-masked.1": (*NETWORK_FIELDS["msa.1"], *_SASNET_FIELDS[10:]),
    "sasnet-unmasked.1": _SASNET_FIELDS[:9],
    "sasnet-ablation.1": (
        *_SASNET_FIELDS,
        Field("frozen", int, True, "1: frozen frequencies; 0: a first layer like the others", among=(0, 1)),
        Field("masked", list, True, "1 or 0 per layer from the first on, not only 0", least=2, most=65, each=entry(int, among=(0, 1))),
    ),
}
NETWORK_FIELDS |= COMPARED_FIELDS
