"""The template of rows: fields in an order, and how they are written.

Rows of one client mostly share one. A template read off a few lines lets DuckDB read
many at once, and prove of each that it was read right.

The proof: from the values that DuckDB found in a line, write the line again as the
template has it. Where the two texts are equal, the values are what the line says: no
field is unknown, repeated or left over, no digit or escape is changed, no comma
trails. Any other line is read in another way.

Where DuckDB would write a string or a number otherwise, its text is looked for in the
line. Wherever that came from: what is written with it is one object with just these
fields, and if the line is the same text, then it says the same.

DuckDB prints objects and arrays without spaces, so for lines with spaces in those both
texts are compared without any. A space in a string cannot deceive: values come from the
parser, found by their very names, and nothing else of JSON can have a space inside.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from lakegate.decode.router import Router
from lakegate.decode.values.json_column import write_string
from lakegate.decode.values.json_text import LineError, parse_line


@dataclass(frozen=True, slots=True)
class Style:
    """How tokens are spaced. `loose`: in any way, so spaces are left out of the proof."""

    comma: str
    colon: str
    loose: bool = False

    def write(self, fields: Sequence[tuple[str, str]]) -> str:
        """Write a row: names, and values as JSON texts."""
        return "{" + self.comma.join(write_string(n) + self.colon + v for n, v in fields) + "}"


COMPACT = Style(",", ":")
SPACED = Style(", ", ": ")
LOOSE = Style(",", ":", loose=True)


class Kind(Enum):
    """What the values of a field are."""

    PLAIN = "strings without escapes"
    ESCAPED = "strings with the escapes that DuckDB writes"
    RAW_STRING = "strings with others"
    RAW_NUMBER = "numbers that DuckDB writes otherwise"
    ANY = "any JSON"


@dataclass(frozen=True, slots=True)
class TemplateMember:
    """A field of a template. The table knows it as `slot`, None if it can be no column.

    `always`: every row has a value.
    `null`: a row without one has a `null`; otherwise it leaves the field out.
    """

    name: str
    slot: str | None
    kind: Kind
    null: bool
    always: bool


# DuckDB's time for a struct grows with the square of its members: half a second for these.
_MAX_MEMBERS = 1000


# Characters of a line that is read one by one, to learn from it.
_LONGEST = 64 * 1024

# Members for each field of a row, from which on a template is sparse.
_SPARSE = 3


@dataclass(frozen=True, slots=True)
class Template:
    """Fields in an order, any of which but the first may be left out.

    `sparse`: rows leave most of them out, so that it may be a mix of templates and no template of
    other rows than those it was learnt from.
    """

    members: Sequence[TemplateMember]
    style: Style
    sparse: bool = False


def learn(lines: Sequence[str | None], router: Router) -> Template | None:
    """Return the template that these lines show, as far as they agree; None if they show none."""
    samples = [
        (line, fields)
        for line in lines
        if line and len(line) <= _LONGEST and 0 < len(fields := _parse(line)) <= _MAX_MEMBERS
    ]
    order: list[str] = []
    agreeing = [sample for sample in samples if _merge(order, [name for name, _ in sample[1]])]
    slots = {(router.slot(name) or name).lower() for name in order}
    if not 0 < len(order) <= _MAX_MEMBERS or len(slots) < len(order):
        return None
    if not all(map(_NAME.fullmatch, order)):
        return None
    values: dict[str, list[str]] = {name: [] for name in order}
    for _, row in agreeing:
        for name, value in row:
            values[name].append(value)
    members = [_member(name, texts, len(agreeing), router) for name, texts in values.items()]
    count = sum(len(row) for _, row in agreeing)
    return Template(members, _style(agreeing), sparse=len(members) * len(samples) > _SPARSE * count)


def _member(name: str, values: Sequence[str], rows: int, router: Router) -> TemplateMember:
    strings = [value for value in values if value != "null"]
    return TemplateMember(
        name=name,
        slot=router.slot(name),
        kind=_kind(strings),
        null=len(strings) < len(values),
        always=len(strings) == rows,
    )


def _kind(values: Sequence[str]) -> Kind:
    if all(value[0] == '"' for value in values):
        if not any("\\" in value for value in values):
            return Kind.PLAIN
        written = all(write_string(json.loads(value)) == value for value in values)
        return Kind.ESCAPED if written else Kind.RAW_STRING
    numbers = all(value[0] in "-0123456789" for value in values)
    return Kind.ANY if not numbers or all(map(_is_plain, values)) else Kind.RAW_NUMBER


def _is_plain(number: str) -> bool:
    """Return whether DuckDB surely writes a number as it is."""
    return bool(_INTEGER.fullmatch(number)) or repr(float(number)) == number


_INTEGER = re.compile(r"0|-?[1-9][0-9]*")

# Router that need no care in any of the languages that they go through.
_NAME = re.compile(r"[A-Za-z0-9_.@$/:-]+")


def _parse(line: str) -> list[tuple[str, str]]:
    try:
        return parse_line(line)
    except LineError:
        return []


def _merge(order: list[str], names: list[str]) -> bool:
    """Merge the names of a row into an order; return whether the row follows it."""
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
