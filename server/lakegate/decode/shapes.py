"""The shape of rows: fields in an order, and how they are written.

Rows of one client mostly share one. A shape read off a few lines lets DuckDB read
many at once, and prove of each that it was read right.

The proof: from the values that DuckDB found in a line, write the line again as the
shape has it. Where the two texts are equal, the values are what the line says: no
field is unknown, repeated or left over, no digit or escape is changed, no comma
trails. Any other line is read by `exact`. DuckDB prints objects and arrays without
spaces, so for lines with spaces in those both texts are compared without any; a
space in a string cannot deceive, for strings come from the parser, and nothing else
of JSON can have one inside.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from lakegate.decode.exact import LineError, parse_line
from lakegate.decode.members import quote
from lakegate.decode.names import Names


@dataclass(frozen=True, slots=True)
class Style:
    """How tokens are spaced. `loose`: in any way, so spaces are left out of the proof."""

    comma: str
    colon: str
    loose: bool = False

    def write(self, fields: Sequence[tuple[str, str]]) -> str:
        """Write a row: names, and values as JSON texts."""
        return "{" + self.comma.join(quote(n) + self.colon + v for n, v in fields) + "}"


COMPACT = Style(",", ":")
SPACED = Style(", ", ": ")
LOOSE = Style(",", ":", loose=True)


class Kind(Enum):
    """What the values of a field are."""

    PLAIN = "strings without escapes"
    ESCAPED = "strings"
    ANY = "any JSON"


@dataclass(frozen=True, slots=True)
class Member:
    """A field of a shape. The table knows it as `slot`, None if it can be no column.

    `always`: every row has a value.
    `null`: a row without one has a `null`; otherwise it leaves the field out.
    """

    name: str
    slot: str | None
    kind: Kind
    null: bool
    always: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """Fields in an order, any of which but the first may be left out."""

    members: Sequence[Member]
    style: Style


def learn(lines: Sequence[str | None], names: Names) -> Shape | None:
    """Give the shape that these lines show, as far as they agree; None if they show none."""
    samples = [(line, fields) for line in lines if line and (fields := _parse(line))]
    order: list[str] = []
    agreeing = [sample for sample in samples if _merge(order, [name for name, _ in sample[1]])]
    slots = {(names.slot(name) or name).lower() for name in order}
    if not order or len(slots) < len(order) or not all(map(_NAME.fullmatch, order)):
        return None
    values: dict[str, list[str]] = {name: [] for name in order}
    for _, fields in agreeing:
        for name, value in fields:
            values[name].append(value)
    members = [_member(name, texts, len(agreeing), names) for name, texts in values.items()]
    return Shape(members, _style(agreeing))


def _member(name: str, values: Sequence[str], rows: int, names: Names) -> Member:
    strings = [value for value in values if value != "null"]
    return Member(
        name=name,
        slot=names.slot(name),
        kind=_kind(strings),
        null=len(strings) < len(values),
        always=len(strings) == rows,
    )


def _kind(values: Sequence[str]) -> Kind:
    if not all(value[0] == '"' for value in values):
        return Kind.ANY
    return Kind.ESCAPED if any("\\" in value for value in values) else Kind.PLAIN


# Names that need no care in any of the languages that they go through.
_NAME = re.compile(r"[A-Za-z0-9_.@$/:-]+")


def _parse(line: str) -> list[tuple[str, str]]:
    try:
        return parse_line(line)
    except LineError:
        return []


def _merge(order: list[str], names: list[str]) -> bool:
    """Put the names of a row into an order; tell whether the row follows it."""
    if names == order:
        return True
    if len(set(names)) < len(names):
        return False
    known = [name for name in names if name in order]
    if known != sorted(known, key=order.index) or (order and names[0] != order[0]):
        return False
    position = 0
    for name in names:
        if name in order:
            position = order.index(name) + 1
        else:
            order.insert(position, name)
            position += 1
    return True


def _style(samples: Sequence[tuple[str, list[tuple[str, str]]]]) -> Style:
    styles = Counter(
        next((style for style in (COMPACT, SPACED) if style.write(fields) == line), LOOSE)
        for line, fields in samples
    )
    return styles.most_common(1)[0][0]
