"""The reference decoder: the rules of NDJSON bodies, row by row, in plain Python.

Written from the rules, not from the decoder: it shares no code with it.
"""

import re
from dataclasses import dataclass, field

from tests.testing.decode.reference_cells import BadValueError, Cell, cell_of
from tests.testing.decode.reference_json import WHITESPACE, Node, NotJsonError, read_object

RESERVED = {
    "_file",
    "_pos",
    "_deleted",
    "_spec_id",
    "_partition",
    "_row_id",
    "_last_updated_sequence_number",
    "_change_type",
    "_change_ordinal",
    "_commit_snapshot_id",
}


@dataclass
class Table:
    """Columns by name; their types as TableService calls them."""

    columns: dict[str, str]
    max_new_columns: int = 32
    max_columns: int = 1000


@dataclass
class Decoded:
    """Rows without their nulls; for each body its rows, or the numbers of its bad lines."""

    rows: list[dict[str, Cell]] = field(default_factory=list)
    new_columns: list[str] = field(default_factory=list)
    verdicts: list[int | list[int]] = field(default_factory=list)


def decode(bodies: list[tuple[bytes, bool]], table: Table) -> Decoded:
    decoded = Decoded()
    for data, evolve in bodies:
        rows, bad_lines = _read(data, table)
        if bad_lines:
            decoded.verdicts.append(bad_lines[:10])
            continue
        new_columns = list(decoded.new_columns)
        placed = _place([row for _, row in rows], table, new_columns, evolve=evolve)
        doubled = [
            number for (number, _), row in zip(rows, placed, strict=True) if _has_a_key_twice(row)
        ]
        if doubled:
            decoded.verdicts.append(doubled[:10])
            continue
        decoded.new_columns = new_columns
        decoded.verdicts.append(len(rows))
        decoded.rows.extend(placed)
    return decoded


def _has_a_key_twice(row: dict[str, Cell]) -> bool:
    props = row.get("props")
    if not isinstance(props, str) or not props.startswith("{"):
        return False
    names = [name for name, _ in read_object(props).members]
    return len(set(names)) < len(names)


def _read(data: bytes, table: Table) -> tuple[list[tuple[int, list[tuple[str, Node]]]], list[int]]:
    """Return the rows of a body with the numbers of their lines, and its bad lines."""
    rows = []
    bad = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip(WHITESPACE.encode()):
            continue
        try:
            row = read_object(line.decode()).members
            for name, node in _fields_of_columns(row, table)[0].items():
                cell_of(node, table.columns[name])
            rows.append((number, row))
        except (NotJsonError, BadValueError, UnicodeDecodeError):
            bad.append(number)
    return rows, bad


def _lower(name: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)


def _column_of(name: str, table: Table) -> str | None:
    if name in table.columns:
        return name
    return next((column for column in table.columns if _lower(column) == _lower(name)), None)


def _at_sources(table: Table) -> list[str]:
    if table.columns.get("at") != "timestamp":
        return []
    names = [_lower(column) for column in table.columns]
    return ["at"] + [source for source in ("timestamp", "_timestamp") if source not in names]


def _fields_of_columns(
    row: list[tuple[str, Node]], table: Table
) -> tuple[dict[str, Node], list[int]]:
    """Return the fields of the table's columns, and the indices of all other fields.

    The first field of a name has the column, and a null is as good as no source of `at`.
    """
    chosen: dict[str, Node] = {}
    used = set()
    sources = _at_sources(table)
    candidates = [
        (sources.index(_lower(name)), index)
        for index, (name, node) in enumerate(row)
        if _lower(name) in sources and node.kind != "null"
    ]
    if candidates:
        _, index = min(candidates)
        chosen["at"] = row[index][1]
        used.add(index)
    for index, (name, node) in enumerate(row):
        if _lower(name) in sources:
            if node.kind == "null":
                used.add(index)
            continue
        column = _column_of(name, table)
        if column is not None and column not in chosen:
            chosen[column] = node
            used.add(index)
    return chosen, [index for index in range(len(row)) if index not in used]


def _place(
    rows: list[list[tuple[str, Node]]], table: Table, new_columns: list[str], *, evolve: bool
) -> list[dict[str, Cell]]:
    """Return the rows of a good body, and add its new columns."""
    brought = 0
    placed: list[dict[str, Cell]] = []
    for row in rows:
        chosen, others = _fields_of_columns(row, table)
        cells = {name: cell_of(node, table.columns[name]) for name, node in chosen.items()}
        overflow = []
        taken = set()
        sources = _at_sources(table)
        own_props = chosen.get("props")
        for index in others:
            name, node = row[index]
            lowered = _lower(name)
            known = lowered in sources or _column_of(name, table) is not None
            if lowered == "props" and not known:
                if own_props is None:
                    own_props = node
                else:
                    overflow.append((name, node))
                continue
            usable = re.fullmatch("[a-z_][a-z0-9_]{0,62}", lowered) and lowered not in RESERVED
            if not known and usable and lowered not in taken:
                room = len(table.columns) + len(new_columns) < table.max_columns
                if (
                    evolve
                    and lowered not in new_columns
                    and brought < table.max_new_columns
                    and room
                ):
                    new_columns.append(lowered)
                    brought += 1
                taken.add(lowered)
                if lowered in new_columns:
                    cells[lowered] = cell_of(node, "string")
                    continue
            if known or evolve:
                overflow.append((name, node))
        if "props" in table.columns or evolve:
            cells |= _props(own_props, overflow, table.columns.get("props", "dynamic"))
        placed.append({name: cell for name, cell in cells.items() if cell is not None})
    return placed


def _props(own: Node | None, overflow: list[tuple[str, Node]], kind: str) -> dict[str, Cell]:
    if own is None or own.kind == "null":
        members = ""
    elif not overflow:
        return {"props": cell_of(own, kind)}
    elif own.kind == "object":
        members = own.raw[1:-1]
    else:
        members = f'"props":{own.raw}'
    if not overflow:
        return {}
    parts = [members] if members else []
    parts += [f"{_quote(name)}:{node.raw}" for name, node in overflow]
    return {"props": "{" + ",".join(parts) + "}"}


def _quote(text: str) -> str:
    quoted = ""
    for character in text:
        if character in '"\\':
            quoted += "\\" + character
        elif character in "\n\r\t\b\f":
            quoted += {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}[character]
        elif character < " ":
            quoted += f"\\u{ord(character):04X}"
        else:
            quoted += character
    return f'"{quoted}"'
