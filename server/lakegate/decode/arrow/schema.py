"""The schema of an Arrow IPC stream, as far as it says what columns take."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lakegate.decode.arrow.flatbuffer import FlatTable
from lakegate.decode.arrow.messages import charge_metadata

_MAX_FIELDS = 10_000  # nested ones too
_MAX_DEPTH = 64

# Indices are those of Schema.fbs.
_SCHEMA_FIELDS, _SCHEMA_METADATA = 1, 2
_NAME, _TYPE_TYPE, _TYPE, _DICTIONARY, _CHILDREN, _FIELD_METADATA = 0, 2, 3, 4, 5, 6
_DICTIONARY_ID = 0
_ENCODED = frozenset({22, 23, 24, 25, 26})  # RunEndEncoded, and the views
_FIXED_LENGTH = frozenset({15, 16})  # FixedSizeBinary and FixedSizeList
_LENGTH = 0


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or a part of one.

    `type`: a value of the union `Type` of Schema.fbs.
    `length`: how many bytes or items a value of fixed length has.
    `dictionary`: the id of the dictionary that has the values.
    `name_size`: the bytes of its name.
    """

    type: int
    length: int
    dictionary: int | None
    name_size: int
    children: Sequence["Field"]

    @property
    def is_encoded(self) -> bool:
        """Whether values are expanded before they are stored: one may be referenced often."""
        return (
            self.dictionary is not None
            or self.type in _ENCODED
            or any(child.is_encoded for child in self.children)
        )


class SchemaReader:
    """Reads the fields of one schema, and no more than may be."""

    def __init__(self) -> None:
        """Start with no field read."""
        self._count = 0

    def read(self, schema: FlatTable) -> list[Field]:
        """Return the columns. Raises `ValueError` where they are too many or nest too deep."""
        charge_metadata(schema, _SCHEMA_METADATA)
        return [self._field(table, 0) for table in schema.tables(_SCHEMA_FIELDS)]

    def _field(self, table: FlatTable, depth: int) -> Field:
        self._count += 1
        if self._count > _MAX_FIELDS or depth > _MAX_DEPTH:
            raise ValueError(
                f"it has more than {_MAX_FIELDS} fields, or they nest deeper than {_MAX_DEPTH}"
            )
        name_size = table.charge_text(_NAME)
        charge_metadata(table, _FIELD_METADATA)
        type_ = table.number(_TYPE_TYPE, "<B")
        parameters, dictionary = table.table(_TYPE), table.table(_DICTIONARY)
        length = 0
        if parameters is not None and type_ in _FIXED_LENGTH:
            length = parameters.number(_LENGTH, "<i")
        return Field(
            type=type_,
            length=max(length, 0),
            dictionary=None if dictionary is None else dictionary.number(_DICTIONARY_ID, "<q"),
            name_size=name_size,
            children=[self._field(child, depth + 1) for child in table.tables(_CHILDREN)],
        )


def with_dictionary(fields: Sequence[Field]) -> dict[int, Field]:
    """Return the fields, nested ones too, that have a dictionary, by its id."""
    found = {}
    for field in fields:
        if field.dictionary is not None:
            found[field.dictionary] = replace(field, dictionary=None)
        found |= with_dictionary(field.children)
    return found
