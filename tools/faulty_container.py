"""Faults of the container and of its map: see make_faulty.py."""

import struct
from collections.abc import Iterator

from tools.small_files import SIGNATURE, Case, joined, once, siren


def container_cases() -> Iterator[Case]:
    made = siren()
    good, chunks = made.bytes(), made.chunks()
    head, data, done = chunks
    note = (b"pROV", b"\x80")

    def corrupt(name: str, about: str, content: bytes) -> Case:
        return Case(f"container-{name}", "corrupt", about, content)

    yield corrupt("empty", "no bytes at all", b"")
    yield corrupt("signature", "the first byte of the signature is another", b"\x88" + good[1:])
    yield corrupt("signature-text", "CR LF of the signature made LF, as by a transfer of text", good.replace(b"\r\n", b"\n", 1))
    yield corrupt("inrimage", "an Inrimage volume", b"#INRIMAGE-4#{\nXDIM=1\nYDIM=1\nZDIM=1\n##}\n".ljust(256, b"\n") + b"\0")
    yield corrupt("cut-in-signature", "cut off inside the signature", good[:5])
    yield corrupt("cut-after-signature", "cut off behind the signature", good[:8])
    yield corrupt("cut-in-length", "cut off inside the first chunk's length", good[:10])
    yield corrupt("cut-in-head", "cut off inside HEAD", good[:40])
    yield corrupt("cut-in-crc", "cut off inside the CRC of DONE", good[:-2])
    yield corrupt("cut-before-done", "no DONE", joined([head, data]))
    yield corrupt("crc-head", "one bit of HEAD's payload is another", good[:20] + bytes([good[20] ^ 1]) + good[21:])
    yield corrupt("crc-data", "one bit of DATA's payload is another", good[:-17] + bytes([good[-17] ^ 1]) + good[-16:])
    yield corrupt("crc-done", "another CRC of DONE", good[:-1] + bytes([good[-1] ^ 0x80]))
    yield corrupt(
        "crc-ancillary", "a wrong CRC of a chunk that readers ignore", once(joined([head, note, data, done]), b"pROV\x80", b"pROV\x81")
    )
    yield corrupt("head-second", "HEAD behind another chunk", joined([note, head, data, done]))
    yield corrupt("head-twice", "two HEAD chunks", joined([head, head, data, done]))
    yield corrupt("head-missing", "no HEAD", joined([data, done]))
    yield corrupt("head-empty", "HEAD without a version and a map", joined([(b"HEAD", b""), data, done]))
    yield corrupt("data-missing", "no DATA", joined([head, done]))
    yield corrupt(
        "data-apart", "another chunk among the DATA chunks", joined([head, (b"DATA", data[1][:9]), note, (b"DATA", data[1][9:]), done])
    )
    yield corrupt("data-after-done", "DATA behind DONE", joined([head, done, data]))
    yield corrupt("done-twice", "two DONE chunks", joined([head, data, done, done]))
    yield corrupt("done-full", "DONE with a payload", joined([head, data, (b"DONE", b"\0")]))
    yield corrupt("after-done", "a chunk behind DONE", joined([head, data, done, note]))
    yield corrupt("trailing", "one byte behind DONE", good + b"\0")
    yield corrupt("letter-reserved", "a lower third letter", joined([head, (b"pRoV", b"\x80"), data, done]))
    yield corrupt("letter-digit", "a digit among the letters", joined([head, (b"pR0V", b"\x80"), data, done]))
    yield corrupt(
        "length-beyond", "DATA is one byte longer than the file", once(good, struct.pack("<I", len(data[1])) + b"DATA", b"\xff\0\0\0DATA")
    )
    yield corrupt("length-largest", "a length of 2^32 - 1", SIGNATURE + b"\xff\xff\xff\xff" + good[12:])
    yield Case("container-critical", "unsupported", "an unknown critical chunk", joined([head, (b"PAGE", b""), data, done]))
    yield Case("container-major", "unsupported", "major version 1", joined([(b"HEAD", b"\1\0" + head[1][2:]), data, done]))
    yield Case("container-chunks", "limit", "1030 chunks", joined([head, *[(b"pROV", b"")] * 1027, data, done]))


def map_cases() -> Iterator[Case]:
    plain = siren()
    packed = plain.map()

    def corrupt(name: str, about: str, content: bytes) -> Case:
        return Case(f"map-{name}", "corrupt", about, plain.bytes(content))

    def opt(name: str, about: str, coded: bytes) -> Case:
        """A fault in what readers else ignore: the value of one key of `opt`."""
        content = once(plain.with_head(opt={"k": 0}).map(), b"\xa1k\x00", b"\xa1k" + coded)
        return Case(f"map-{name}", "corrupt", about, plain.bytes(content))

    yield corrupt("cut", "the map ends early", packed[:-1])
    yield corrupt("trailing", "a byte behind the map", packed + b"\xc0")
    yield corrupt("list", "a list in place of the map", b"\x90")
    yield corrupt("int-long", "an integer in two bytes that fits one", once(packed, b"\xa4bits\x08", b"\xa4bits\xcc\x08"))
    yield opt("int-signed", "300 in the signed form of two bytes", b"\xd1\x01\x2c")
    yield opt("int-negative-long", "-1 in two bytes", b"\xd0\xff")
    yield opt("int-wide", "2^16 in eight bytes", b"\xcf\0\0\0\0\0\1\0\0")
    yield corrupt("string-long", "a short string with a length of one byte", once(packed, b"\xa4kind", b"\xd9\x04kind"))
    yield corrupt("list-long", "a short list with a length of two bytes", once(packed, b"\xa3req\x90", b"\xa3req\xdc\0\0"))
    yield corrupt("map-long", "a short map with a length of two bytes", once(packed, b"\x87\xa4axes", b"\xde\0\x07\xa4axes"))
    yield corrupt("keys-unsorted", "the keys n, name", once(packed, b"\x82\xa1n\x04\xa4name\xa1y", b"\x82\xa4name\xa1y\xa1n\x04"))
    yield corrupt("key-twice", "the same key twice", once(packed, b"\x82\xa1n\x04\xa4name\xa1y", b"\x83\xa1n\x04\xa1n\x04\xa4name\xa1y"))
    yield opt("key-integer", "an integer as a key", b"\x81\x01\x02")
    yield opt("nan", "NaN", b"\xca\x7f\xc0\0\0")
    yield opt("infinity", "infinity in eight bytes", b"\xcb" + struct.pack(">d", float("inf")))
    yield opt("float-long", "0.5 in eight bytes", b"\xcb" + struct.pack(">d", 0.5))
    yield opt("extension", "an extension type", b"\xd4\x05\x00")
    yield opt("timestamp", "a timestamp", b"\xd6\xff\0\0\0\0")
    yield opt("reserved", "the byte that msgpack never uses", b"\xc1")
    yield opt("utf8", "a string that is not UTF-8", b"\xa2\xc3\x28")
    yield opt("surrogate", "a surrogate in a string", b"\xa3\xed\xa0\x80")
    yield opt("nfd", "a string that is not in NFC", b"\xa3" + "a\u0308".encode())
    yield opt("string-longest", "a string of 64 KiB and a byte", b"\xdb" + struct.pack(">I", 2**16 + 1) + b"a" * (2**16 + 1))
    yield opt("string-beyond", "a string of 2^32 - 1 bytes that are not there", b"\xdb\xff\xff\xff\xff")
    yield opt("list-longest", "a list of 4097 entries", b"\xdc\x10\x01" + b"\0" * 4097)
    yield opt("list-beyond", "a list of 2^32 - 1 entries that are not there", b"\xdd\xff\xff\xff\xff")
    yield opt("deep", "17 nested levels", b"\x91" * 14 + b"\x91\x00")
    yield opt("deep-empty", "17 nested levels, the last one empty", b"\x91" * 14 + b"\x90")
    yield opt("deep-far", "5000 nested levels", b"\x91" * 5000 + b"\x00")
