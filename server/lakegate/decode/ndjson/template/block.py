"""Rows of one template: the columns that the parser made of them."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.ndjson.blocks import Appearance, Evolution, Resolved
from lakegate.decode.ndjson.lines import Lines
from lakegate.decode.ndjson.template.template import Template, TemplateMember
from lakegate.decode.router import Router, Target
from lakegate.decode.standard_columns import AT
from lakegate.decode.values import json_members as members
from lakegate.decode.values.json_column import JsonColumn


class TemplateBlock:
    """Rows of one template; `columns` has the values of its members."""

    def __init__(
        self,
        rows: pa.Array,
        template: Template,
        columns: Sequence[JsonColumn],
        router: Router,
        lines: Lines,
    ) -> None:
        """Take proven rows of a group."""
        self.rows = rows
        self._lines = lines
        self._known: dict[str, JsonColumn] = {}
        self._settled: list[tuple[int, str, JsonColumn]] = []  # go to `props`
        self._unknown: list[tuple[int, TemplateMember, JsonColumn]] = []
        sources: dict[str, tuple[int, str, JsonColumn]] = {}
        routes = router.routes([member.name for member in template.members])
        for position, (member, column) in enumerate(zip(template.members, columns, strict=True)):
            target, slot = routes[position]
            if slot is not None and target is Target.AT:
                sources[slot] = (position, member.name, column)
            elif slot is not None and target is Target.COLUMN:
                self._known[slot] = column
            else:
                self._unknown.append((position, member, column))
        self._take_at([sources[slot] for slot in router.at_sources if slot in sources])

    def _take_at(self, sources: Sequence[tuple[int, str, JsonColumn]]) -> None:
        """Take `at` from the first source that a row has; the others go to `props`."""
        if not sources:
            return
        *_, at = sources[0]
        for position, name, column in sources[1:]:
            taken = at.present().is_valid()
            left = pc.if_else(taken, column.present(), pa.scalar(None, column.values.type))
            self._settled.append((position, name, JsonColumn(left)))
            at = JsonColumn(pc.coalesce(at.present(), column.present()))
        self._known[AT] = at

    @property
    def known(self) -> Mapping[str, JsonColumn]:
        """The fields that go to columns of the table."""
        return self._known

    def appearances(self, _: Evolution) -> Iterator[Appearance]:
        """Return the first row of each body that has a field that may become a column."""
        for position, member, column in self._unknown:
            if member.slot is not None:
                rows = self.rows if member.null else self.rows.filter(column.values.is_valid())
                for row in self._first_of_bodies(rows):
                    yield Appearance(row, position, member.slot)

    def resolve(self, evolution: Evolution) -> Resolved:
        """Return what goes to new columns and what to `props`."""
        if not self._unknown and not self._settled:
            return Resolved({}, members.join([], len(self.rows)))
        columns = {}
        overflow = {
            position: members.write(name, column.json()) for position, name, column in self._settled
        }
        keeps = evolution.keeps_unknown(self.rows)
        for position, member, column in self._unknown:
            sent = pc.fill_null(column.json(), "null") if member.null else column.json()
            first = None if member.slot is None else evolution.first_row(member.slot)
            overflows = keeps
            if member.slot is not None and first is not None:
                is_column = pc.greater_equal(self.rows, first)
                columns[member.slot] = column.where(is_column)
                overflows = pc.and_not(keeps, is_column)
            if pc.any(overflows).as_py():
                nothing = pa.scalar(None, sent.type)
                overflow[position] = members.write(
                    member.name, pc.if_else(overflows, sent, nothing)
                )
        return Resolved(
            columns, members.join([overflow[i] for i in sorted(overflow)], len(self.rows))
        )

    def _first_of_bodies(self, rows: pa.Array) -> Iterator[int]:
        """Return the first of `rows` in each body that has any."""
        index = 0
        while index < len(rows):
            row = rows[index].as_py()
            yield row
            end = self._lines.starts[self._lines.body_of(row) + 1]
            index = bisect_left(range(len(rows)), end, lo=index, key=lambda i: rows[i].as_py())
