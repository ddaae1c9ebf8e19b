"""Preparing a group: its bodies decoded, the table widened, the data files written.

Members are independent: each is refused for its own faults alone.
"""

import errno
import logging
from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.manifest import DataFile

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.commit.group import Member, PreparedGroup, by_decoder, refuse
from lakegate.lake.failures import (
    CATALOG_FAILURES,
    ColumnConflictError,
    TableChangedError,
    TableMissingError,
    TableReplacedError,
    as_lakegate_error,
    table_not_found,
)
from lakegate.lake.files.data_files import write_data_files
from lakegate.lake.table.cached_table import CachedTable
from lakegate.lake.table.partition_limits import fitting
from lakegate.lake.table.schema import new_columns, round_trip
from lakegate.lake.table.state import TableState
from lakegate.model import Body, DecodedGroup, Decoder, MemoryEstimate

log = logging.getLogger(__name__)

# How often a group is decoded anew because another writer changed the schema meanwhile.
DECODING_ATTEMPTS = 20
# What decoding more than this takes is estimated in a thread.
ESTIMATED_AT_ONCE_BYTES = 8 * 1024


async def prepare(table: CachedTable, members: Sequence[Member]) -> PreparedGroup:
    """Prepare the members; those with a fault are answered here and now."""
    prepared = PreparedGroup()
    for decoder, group in by_decoder(members):
        await _prepare_or_refuse(table, decoder, group, prepared)
    return prepared


async def _prepare_or_refuse(
    table: CachedTable, decoder: Decoder, members: Sequence[Member], prepared: PreparedGroup
) -> None:
    try:
        extent = await _extent(table, decoder, members)
        async with table.workers.room_to_decode(str(table.name), *extent):
            await _prepare(table, decoder, members, prepared)
    except Exception as error:
        expected = isinstance(error, (LakegateError, OSError, *CATALOG_FAILURES))
        if expected:
            table.forget()
        if len(members) > 1 and (not expected or _is_of_one_member(error)):
            # The others must not pay for it, nor read of it.
            for member in members:
                await _prepare_or_refuse(table, decoder, [member], prepared)
            return
        if not expected:
            log.exception("A batch for %s could not be prepared", table.name)
        refuse(members, as_lakegate_error(error, table.name))


def _is_of_one_member(error: Exception) -> bool:
    """Whether the rows of one member must be at fault: what is in them, or in a file's name."""
    if isinstance(error, LakegateError):
        return error.code is ErrorCode.BAD_REQUEST_BODY
    return isinstance(error, OSError) and error.errno in {errno.ENAMETOOLONG, errno.EINVAL}


async def _extent(
    table: CachedTable, decoder: Decoder, members: Sequence[Member]
) -> MemoryEstimate:
    """Return what decoding all bodies takes."""
    state = await table.state()
    columns = len(state.arrow_schema if state is not None else decoder.default_schema)
    bodies = [member.batch.body for member in members]
    if sum(member.size for member in members) < ESTIMATED_AT_ONCE_BYTES:
        return decoder.estimate(bodies, columns)
    return await table.workers.run(decoder.estimate, bodies, columns)


async def _prepare(
    table: CachedTable, decoder: Decoder, members: Sequence[Member], prepared: PreparedGroup
) -> None:
    for _ in range(DECODING_ATTEMPTS):
        state = await table.state()
        admitted = _admitted(table, members, state)
        if not admitted:
            return
        bodies = [member.batch.body for member in admitted]
        decoded, files = await table.workers.run(_decode_and_write, decoder, bodies, state)
        if files is None or (state is None and _has_places(admitted, decoded)):
            try:
                state = await _make_room(table, state, decoder, decoded.rows.schema)
            except (ColumnConflictError, TableReplacedError, TableMissingError):
                table.forget()
                continue  # decode again, for the table as it is now
            decoded, files = await table.workers.run(_write, state, decoded)
        if files and state is not None:
            try:
                prepared.add_files(state, files)
            except (TableChangedError, TableReplacedError):
                # Another writer changed the table since the bodies of another format were written.
                prepared.deferred.extend(admitted)
                return
        prepared.add_outcomes(admitted[: len(decoded.outcomes)], decoded.outcomes)
        prepared.deferred.extend(admitted[len(decoded.outcomes) :])
        return
    raise ColumnConflictError(f"The schema of {table.name} keeps changing.")


def _has_places(members: Sequence[Member], decoded: DecodedGroup) -> bool:
    """Whether there is a good batch of a stream: with or without rows, its table counts it."""
    return any(
        member.batch.position is not None and not isinstance(outcome, LakegateError)
        for member, outcome in zip(members, decoded.outcomes, strict=True)
    )


def _admitted(
    table: CachedTable, members: Sequence[Member], state: TableState | None
) -> Sequence[Member]:
    """Return the members for which a missing table may be made; refuse the others."""
    if state is not None:
        return members
    refuse([m for m in members if not m.batch.auto_create], table_not_found(table.name))
    return [m for m in members if m.batch.auto_create]


def _decode_and_write(
    decoder: Decoder, bodies: Sequence[Body], state: TableState | None
) -> tuple[DecodedGroup, list[DataFile] | None]:
    """Decode, and write the data files at once where the table has room for the rows."""
    schema = state.arrow_schema if state is not None else round_trip(decoder.default_schema)
    decoded = decoder.decode(bodies, schema)
    if not len(decoded.rows):
        return decoded, []
    if state is None or new_columns(decoded.rows.schema, schema).names:
        return decoded, None
    return _write(state, decoded)


def _write(state: TableState, decoded: DecodedGroup) -> tuple[DecodedGroup, list[DataFile]]:
    """Write the data files of what fits, which is all where the table has no partitions."""
    fit, placement = fitting(state, decoded)
    return fit, write_data_files(state, fit.rows, placement) if len(fit.rows) else []


async def _make_room(
    table: CachedTable, state: TableState | None, decoder: Decoder, rows: pa.Schema
) -> TableState:
    """Make the table, or the columns it lacks."""
    if state is not None:
        return await table.widen(rows)
    default = decoder.default_schema
    return await table.create(pa.schema([*default, *new_columns(rows, default)]))
