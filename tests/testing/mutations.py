"""Inputs that are almost right: seeds, cut, spliced and flipped."""

import random
from collections.abc import Callable, Sequence

# What parsers stumble over.
TOKENS = [
    *(b'"', b"\\", b"\\u", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r\n"),
    *(b"null", b"NaN", b"1e999", b"-0", b"0x1", b"9223372036854775808", b"1" * 400),
    *(
        b"\x00",
        b"\x7f",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xf0\x9f\x98\x80",
        b"\xc0\xaf",
    ),
    *(b'{"a":1}', b'"at":"2026-05-02T10:00:00Z"', b'"props":{}', b"/*", b"//", b"'", b"[" * 200),
    *(b"\xff\xff\xff\xff", b"\x80" * 10, b"\x7f\xff\xff\xff", b"\x00" * 8, b"ARROW1"),
]
_MAX_BYTES = 20_000


class Mutations:
    """Makes inputs out of seeds; the same ones from the same `chance`."""

    def __init__(self, seeds: Sequence[bytes], chance: random.Random) -> None:
        self._seeds = seeds
        self._chance = chance

    def next(self) -> bytes:
        data = bytearray(self._chance.choice(self._seeds))
        ways: list[Callable[[bytearray], None]] = [
            self._flip,
            self._flip,
            self._insert,
            self._cut,
            self._repeat,
            self._splice,
            self._truncate,
        ]
        for _ in range(self._chance.randint(1, 6)):
            self._chance.choice(ways)(data)
        return bytes(data[:_MAX_BYTES])

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._at(data)] = self._chance.randrange(256)

    def _insert(self, data: bytearray) -> None:
        at = self._chance.randint(0, len(data))
        data[at:at] = self._chance.choice(TOKENS)

    def _cut(self, data: bytearray) -> None:
        if data:
            at = self._at(data)
            del data[at : at + self._chance.randint(1, 16)]

    def _repeat(self, data: bytearray) -> None:
        if data:
            at = self._at(data)
            piece = data[at : at + self._chance.randint(1, 64)]
            data[at:at] = piece * self._chance.randint(1, 8)

    def _splice(self, data: bytearray) -> None:
        other = self._chance.choice(self._seeds)
        at = self._chance.randint(0, len(other))
        here = self._chance.randint(0, len(data))
        data[here:] = other[at:]

    def _truncate(self, data: bytearray) -> None:
        del data[self._chance.randint(0, len(data)) :]

    def _at(self, data: bytearray) -> int:
        return self._chance.randrange(len(data))
