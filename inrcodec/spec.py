"""The facts of the .inr format, in one place: reader, writer, text and tests take them from here.

Layout of a file (all integers little-endian):

    signature  89 49 4E 52 0D 0A 1A 0A
    chunk*     u32 length | 4 letters | payload[length] | u32 CRC-32 over letters and payload

First HEAD, then DATA (one or more, adjacent), ancillary chunks anywhere between HEAD and DONE but not inside the run of DATA,
last DONE (empty). Letters follow PNG: a small first letter marks an ancillary chunk, a small second letter a private one,
a small fourth letter one that is safe to copy. Identifiers below are literals: append only, never renumbered.
"""

from dataclasses import dataclass

SIGNATURE = b"\x89INR\r\n\x1a\n"
INRIMAGE_SIGNATURE = b"#INRIMAGE"  # an older volume format with the same suffix
MAJOR = 0  # an unknown major version is refused
MINOR = 1  # minor versions only add what HEAD.req announces
MAX_CHUNK_LENGTH = (1 << 31) - 1
CHUNK_BYTES = 12  # of a chunk beside its payload

HEAD = b"HEAD"  # u8 major, u8 minor, one canonical msgpack map
DATA = b"DATA"  # tensor payloads, in the order of HEAD.tens, cut anywhere
DONE = b"DONE"  # empty; its absence shows a truncated file
CRITICAL_CHUNKS = (HEAD, DATA, DONE)

ICC = b"iCCP"  # ICC profile, zstd
EXIF = b"eXIf"  # EXIF from the TIFF header on; its orientation is 1 and ignored
XMP = b"xMPp"  # XMP packet
PROVENANCE = b"pROV"  # msgpack map: writer, options, source digest
METRICS = b"mTRC"  # msgpack map, "metrics": measured on the decoded file
ANCILLARY_CHUNKS = (ICC, EXIF, XMP, PROVENANCE, METRICS, b"mETa", b"tHMB", b"hASH")

KINDS = ("image", "volume", "shape", "audio", "video", "field")
ROLES = ("color", "alpha", "value", "sdf")
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")  # of samples that are numbers
NETWORK_IDS = ("siren.1", "msa.1", "sasnet.1", "sasnet.2")

# How the bytes of a tensor are coded (HEAD.tens[i].codec).
RAW_F32 = 0  # float32, as they are
RAW_INT = 1  # quantized: side information, then symbols as the smallest of i8, i16, i32
ZSTD_INT = 2  # quantized: side information, then the same in one zstd frame
RANS = 3  # quantized: side information, models, then rANS words
LATTICE = 4  # a subset of the integer lattice (frequency embeddings)
ZSTD_F32 = 5  # float32 in one zstd frame
RANS_SHARED = 6  # quantized: one model for all groups; step codes, as differences, and symbols in one rANS stream
CONTEXT = 8  # quantized: side information, then one rANS stream whose distributions the context network gives
CONTEXT_NET = 9  # that network, behind the tensors of the network
RESIDUAL = 10  # integers on the nominal grid, coded in the context of their neighbours
MASK = 7  # one bit a sample, differences of slices, in one zstd frame: which samples there are
CODEC_NAMES = {
    RAW_F32: "raw-f32",
    RAW_INT: "raw-int",
    ZSTD_INT: "zstd-int",
    RANS: "rans",
    LATTICE: "lattice",
    ZSTD_F32: "zstd-f32",
    RANS_SHARED: "rans-shared",
    MASK: "mask",
    CONTEXT: "context",
    CONTEXT_NET: "context-net",
    RESIDUAL: "residual",
}
# Names in HEAD.req: what a reader must know and would not find out by an unknown id or chunk.
RESIDUAL_FEATURE = "residual"  # HEAD.out.residual: samples of the nominal grid are corrected
FEATURES = (RESIDUAL_FEATURE,)

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
    """One key of a HEAD map: its msgpack type, whether it must be there, and what it says."""

    key: str
    type: type
    required: bool
    text: str


HEAD_FIELDS = (
    Field("kind", str, True, "what is coded, one of KINDS"),
    Field("level", int, True, "1: decodable by embedded decoders"),
    Field("req", list, True, "sorted names of the features a decoder must know, beyond what this version has without"),
    Field("axes", list, True, "one map per axis, slowest first (AXIS_FIELDS)"),
    Field("out", dict, True, "what the outputs mean (OUT_FIELDS)"),
    Field("color", dict, False, "colour of an image (COLOR_FIELDS)"),
    Field("space", dict, False, "where the samples lie in the world (SPACE_FIELDS)"),
    Field("net", list, True, "id of the network, then the values of its configuration in the order of the network's text"),
    Field("tens", list, True, "one list per tensor of the network, in DATA order (TENSOR_FIELDS)"),
    Field("windows", dict, False, "one network per window of the axis (WINDOWS_FIELDS)"),
    Field("opt", dict, False, "whatever readers may ignore"),
)
AXIS_FIELDS = (
    Field("name", str, True, "y, x, z, t ..."),
    Field("n", int, True, "nominal number of samples"),
    Field("lo", float, False, "coordinate of the lower border of the first sample, -1 if absent"),
    Field("hi", float, False, "coordinate of the upper border of the last sample, 1 if absent"),
)
OUT_FIELDS = (
    Field("channels", list, True, "one map per output (CHANNEL_FIELDS)"),
    Field("bits", int, True, "bit depth M of the source: code = floor(clip(v, 0, 1) * (2^M - 1) + 0.5)"),
    Field("dtype", str, False, "one of DTYPES: samples are numbers of this type, low + clip(v, 0, 1) * (high - low), and not codes"),
    Field("valid", bool, False, "true: the last tensor says which samples the source has; with a floating dtype only"),
    Field("residual", dict, False, "what is added to the function's samples on the nominal grid (RESIDUAL_FIELDS)"),
)
RESIDUAL_FIELDS = (
    Field("bound", float, True, "decoded nominal samples are within it of the source's; 0: the same"),
    Field("step", float, True, "what 1 in the residual adds to a sample"),
    Field("tolerance", float, True, "how far evaluations may be from exact values v, for the bound to hold"),
)
CHANNEL_FIELDS = (
    Field("name", str, True, "R, G, B, A, Y ..."),
    Field("role", str, True, "one of ROLES"),
    Field("scale", float, True, "v = scale * y + offset, y the network's output"),
    Field("offset", float, True, "see scale"),
    Field("low", float, False, "sample of v = 0; with a dtype only, 0 if absent"),
    Field("high", float, False, "sample of v = 1; with a dtype only, 1 if absent"),
)
SPACE_FIELDS = (
    Field("spacing", list, True, "per axis the distance of neighbouring samples, floats; 0: unknown"),
    Field(
        "affine", list, False, "(d + 1)^2 floats, row by row: indices of the d spatial axes, in the order of axes, and 1 -> world, and 1"
    ),
    Field("units", str, False, "of the world: mm, m, s ..."),
)
COLOR_FIELDS = (
    Field("icc", bool, False, "an iCCP chunk says the colour space; sRGB otherwise"),
    Field("source", str, False, "how the source stored its samples, for information"),
)
WINDOWS_FIELDS = (  # one integer per axis each; this version has windows along the only axis of a signal
    Field("hop", list, True, "nominal samples from window to window"),
    Field("overlap", list, True, "nominal samples that neighbours share, at most the hop"),
)
TENSOR_FIELDS = (  # a list with these entries, in this order
    Field("codec", int, True, "one of CODEC_NAMES"),
    Field("length", int, True, "bytes in DATA"),
)
