"""Faults of HEAD and of the network's configuration: see make_faulty.py."""

from collections.abc import Iterator
from typing import Any

from tools.small_files import Case, Made, sasnet, shape, siren, sound, volume


def head_cases() -> Iterator[Case]:
    image, gaps, form, wave = siren(), volume(), shape(), sound()
    square = image.with_head(axes=[{"name": "y", "n": 2**16}, {"name": "x", "n": 2**16}])

    signed = {**image.head["out"], "dtype": "int8"}

    def corrupt(name: str, about: str, made: Made) -> Case:
        return Case(f"head-{name}", "corrupt", about, made.bytes())

    def unsupported(name: str, about: str, made: Made) -> Case:
        return Case(f"head-{name}", "unsupported", about, made.bytes())

    def limit(name: str, about: str, made: Made) -> Case:
        return Case(f"head-{name}", "limit", about, made.bytes())

    yield corrupt("key-missing", "no kind", image.with_head(kind=None))
    yield corrupt("key-unknown", "a key that no table has", image.with_head(colour={}))
    yield corrupt("axis-key-unknown", "a key that no table has, of an axis", image.with_axis(unit="m"))
    yield corrupt("axis-key-missing", "an axis without n", image.with_head(axes=[{"name": "y"}, {"name": "x", "n": 5}]))
    yield corrupt("float-integer", "an integer where a float belongs", image.with_channel(scale=1))
    yield corrupt("integer-boolean", "a boolean where an integer belongs", image.with_out(bits=True))
    yield corrupt("optional-nil", "nil in place of a value that may be absent", image.with_out(dtype=None))
    yield corrupt("boolean-integer", "an integer where a boolean belongs", gaps.with_out(valid=1))
    yield corrupt("list-map", "a map where a list belongs", image.with_head(axes={}))
    yield corrupt("opt-list", "opt is a list", image.with_head(opt=[]))
    yield corrupt("req-unsorted", "features that are not sorted", image.with_head(req=["b", "a"]))
    yield corrupt("req-integer", "a feature that is not a string", image.with_head(req=[1]))
    yield unsupported("req-unknown", "an unknown feature", image.with_head(req=["no such feature"]))
    yield unsupported(
        "req-first", "an unknown feature, and a key that it may have brought", image.with_head(req=["no such feature"], new=1)
    )
    yield unsupported("kind-unknown", "an unknown kind", image.with_head(kind="smell"))
    yield unsupported("level-unknown", "level 3", image.with_head(level=3))
    yield corrupt("axes-none", "no axes", image.with_head(axes=[]))
    yield corrupt("axes-five", "five axes", image.with_head(axes=[{"name": name, "n": 1} for name in "abcde"]))
    yield corrupt("n-zero", "an axis without samples", image.with_axis(n=0))
    yield corrupt("n-beyond", "an axis of 2^31 + 1 samples", image.with_axis(n=2**31 + 1))
    yield corrupt("borders", "an axis whose borders are equal", image.with_axis(lo=1.0))
    yield corrupt("bits-zero", "0 bits", image.with_out(bits=0))
    yield corrupt("bits-beyond", "17 bits", image.with_out(bits=17))
    yield corrupt("dtype-unknown", "an unknown dtype", image.with_out(dtype="complex64"))
    yield corrupt("valid-false", "valid is false", image.with_out(dtype="float32", valid=False))
    yield corrupt("valid-integer", "valid beside an integer dtype", gaps.with_out(dtype="int16"))
    yield corrupt("valid-codes", "valid beside codes", image.with_out(valid=True).with_more(gaps.tensors[-1]))
    yield corrupt("channels-none", "no channels", image.with_out(channels=[]))
    yield corrupt("role-unknown", "an unknown role", image.with_channel(role="depth"))
    yield corrupt("low-codes", "low without a dtype", image.with_channel(low=0.0))
    yield corrupt("low-high", "low is not below high", gaps.with_channel(low=1.0))
    yield corrupt("low-type", "low below the least number of an integer dtype", image.with_head(out=signed).with_channel(low=-129.0))
    yield corrupt("high-type", "high above the greatest number of an integer dtype", image.with_head(out=signed).with_channel(high=128.0))
    yield corrupt("spacing-short", "one spacing for two axes", gaps.with_head(space={"spacing": [1.0]}))
    yield corrupt("spacing-integer", "integers as spacing", gaps.with_head(space={"spacing": [1, 1]}))
    yield corrupt("affine-length", "an affine of five numbers", gaps.with_head(space={"spacing": [1.0, 1.0], "affine": [1.0] * 5}))
    yield corrupt("affine-empty", "an empty affine", gaps.with_head(space={"spacing": [1.0, 1.0], "affine": []}))
    yield corrupt("affine-large", "an affine of too many axes", gaps.with_head(space={"spacing": [1.0, 1.0], "affine": [1.0] * 16}))
    yield corrupt("icc-missing", "icc, but no iCCP chunk", image.with_head(color={"icc": True}))
    yield corrupt("color-key", "a key that no table has, of color", image.with_head(color={"gamma": 2.0}))
    yield corrupt("shape-codes", "a shape of codes", form.with_head(out=image.head["out"]).with_channel(role="sdf"))
    yield corrupt("shape-role", "a shape whose channel is no distance", form.with_channel(role="value"))
    yield corrupt("shape-affine-missing", "a shape without an affine", form.with_head(space={"spacing": [1.0] * 3}))
    flat = [float(v) for v in (1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 1)]
    yield corrupt("shape-affine-flat", "a shape whose affine has no inverse", form.with_head(space={"spacing": [1.0] * 3, "affine": flat}))
    yield corrupt("windows-two-axes", "windows of two axes", image.with_head(windows={"hop": [2, 2], "overlap": [2, 2]}))
    yield corrupt("windows-image", "windows of the first of two axes", image.with_head(windows={"hop": [2], "overlap": [2]}))
    yield corrupt("windows-odd", "an odd overlap", wave.with_head(windows={"hop": [4], "overlap": [3]}))
    yield corrupt("windows-overlap", "an overlap beyond the hop", wave.with_head(windows={"hop": [4], "overlap": [6]}))
    yield corrupt("windows-hop", "a hop of all samples", wave.with_head(windows={"hop": [12], "overlap": [2]}))
    yield limit("samples", "a nominal grid of 2^62 samples", image.with_head(axes=[{"name": name, "n": 2**31} for name in "yx"]))
    masked = Made(square.with_out(dtype="float32", valid=True).head, gaps.tensors)
    yield limit("mask", "a mask of 2^32 samples", masked)


def net_cases() -> Iterator[Case]:
    plain, grid, wave = siren(), sasnet(), sound()
    multi = plain.with_head(net=["msa.1", 2, 1, 8, 0, 0.0, 1.0])
    many = [[0.5, 2, 2**28, 2], [0.5, 2, 2**28, 2]]

    def corrupt(name: str, about: str, made: Made) -> Case:
        return Case(f"net-{name}", "corrupt", about, made.bytes())

    def level(index: int, value: Any) -> Made:
        changed = list(grid.head["net"][14][0])
        changed[index] = value
        return grid.with_net(14, [changed])

    yield corrupt("none", "an empty list", plain.with_head(net=[]))
    yield corrupt("id", "an id that is not a string", plain.with_net(0, 1))
    yield Case("net-unknown", "unsupported", "an unknown network", plain.with_net(0, "unknown.1").bytes())
    yield corrupt("short", "a value less", plain.with_head(net=plain.head["net"][:-1]))
    yield corrupt("long", "a value more", plain.with_head(net=[*plain.head["net"], 1.0]))
    yield corrupt("integer", "an integer where a float belongs", plain.with_net(6, 30))
    yield corrupt("boolean", "a boolean where an integer belongs", plain.with_net(4, False))
    yield corrupt("axes", "three inputs of two axes", plain.with_net(1, 3))
    yield corrupt("channels", "two outputs of one channel", plain.with_net(2, 2))
    yield corrupt("hidden-zero", "no neurons", plain.with_net(3, 0))
    yield corrupt("hidden-beyond", "8193 neurons", plain.with_net(3, 8193))
    yield corrupt("layers-beyond", "65 hidden layers", plain.with_net(4, 65))
    yield corrupt("layers-negative", "-1 hidden layers", plain.with_net(4, -1))
    yield corrupt("omega", "an omega of 0", plain.with_net(6, 0.0))
    yield corrupt("msa-order", "s_min above s_max", multi.with_net(6, -1.0))
    yield corrupt("msa-beyond", "s_max of 7", multi.with_net(6, 7.0))
    yield corrupt("sasnet-layers", "no hidden layers of a SASNet", grid.with_net(5, 0))
    yield corrupt("period", "a negative period", grid.with_net(7, -4.0))
    yield corrupt("band", "a band that is not above low", grid.with_net(9, 1))
    yield corrupt("bands", "more bands than there are frequencies between low and band", grid.with_net(10, 2))
    yield corrupt("groups", "groups that do not divide the neurons", grid.with_net(11, 3))
    yield corrupt("levels-none", "no levels", grid.with_net(14, []))
    yield corrupt("level-short", "a level of three values", grid.with_net(14, [[0.5, 2, 4]]))
    yield corrupt("level-scale", "a scale that is not a float32", level(0, 0.1))
    yield corrupt("level-scale-beyond", "a scale beyond all of float32", level(0, 1e300))
    yield corrupt("level-scale-zero", "a scale of 0", level(0, 0.0))
    yield corrupt("level-resolution", "a resolution of 0", level(1, 0))
    yield corrupt("level-taps", "three taps", level(3, 3))
    yield corrupt("stretch-short", "one stretch for two axes", grid.with_net(15, [1.0]))
    yield corrupt("stretch-beyond", "a stretch above 1", grid.with_net(15, [1.0, 1.5]))
    yield corrupt("stretch-zero", "a stretch of 0", grid.with_net(15, [1.0, 0.0]))
    yield corrupt("windows", "tensors of two windows, of three there are", wave.with_head(windows={"hop": [6], "overlap": [2]}))
    yield Case("net-elements", "limit", "2^29 elements of tables", grid.with_net(14, many).with_more((0, b"")).bytes())
