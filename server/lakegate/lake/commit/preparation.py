"""Preparation of a group: its bodies are decoded, the table is widened, data files are written.

Batches are independent: an error in one body refuses that batch only.
"""

import errno
import logging
from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.manifest import DataFile

from lakegate.concurrency.retry import DECODING
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.commit.prepared_group import PreparedGroup
from lakegate.lake.commit.queued_batch import QueuedBatch, by_decoder, refuse
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

# Larger groups are estimated in a thread.
ESTIMATED_INLINE_BYTES = 8 * 1024


async def prepare(table: CachedTable, batches: Sequence[QueuedBatch]) -> PreparedGroup:
    """Prepare the batches; those with an invalid body are refused here."""
    prepared = PreparedGroup()
    for decoder, group in by_decoder(batches):
        await _prepare_or_refuse(table, decoder, group, prepared)
    return prepared


async def _prepare_or_refuse(
    table: CachedTable, decoder: Decoder, batches: Sequence[QueuedBatch], prepared: PreparedGroup
) -> None:
    try:
        estimate = await _estimate(table, decoder, batches)
        owner = (table.name.database, table.name.table)
        async with table.workers.reserve_for_decoding(owner, *estimate):
            await _prepare(table, decoder, batches, prepared)
    except Exception as error:
        expected = isinstance(error, (LakegateError, OSError, *CATALOG_FAILURES))
        if expected:
            table.forget()
        if len(batches) > 1 and (not expected or _is_of_one_batch(error)):
            # One by one, so that the other senders do not get this error.
            for queued in batches:
                await _prepare_or_refuse(table, decoder, [queued], prepared)
            return
        if not expected:
            log.exception("A batch for %s could not be prepared", table.name)
        refuse(batches, as_lakegate_error(error, table.name))


def _is_of_one_batch(error: Exception) -> bool:
    """Return whether one body causes the error, by its rows or the file name of a partition."""
    if isinstance(error, LakegateError):
        return error.code is ErrorCode.BAD_REQUEST_BODY
    return isinstance(error, OSError) and error.errno in {errno.ENAMETOOLONG, errno.EINVAL}


async def _estimate(
    table: CachedTable, decoder: Decoder, batches: Sequence[QueuedBatch]
) -> MemoryEstimate:
    """Return an estimate of the memory that decoding all bodies takes."""
    state = await table.state()
    columns = len(state.arrow_schema if state is not None else decoder.default_schema)
    bodies = [queued.batch.body for queued in batches]
    if sum(queued.size for queued in batches) < ESTIMATED_INLINE_BYTES:
        return decoder.estimate(bodies, columns)
    return await table.workers.run(decoder.estimate, bodies, columns)


async def _prepare(
    table: CachedTable, decoder: Decoder, batches: Sequence[QueuedBatch], prepared: PreparedGroup
) -> None:
    """Decode the bodies and write their data files, again if another writer changes the schema."""
    for _ in DECODING.attempts():
        state = await table.state()
        admitted = _admitted(table, batches, state)
        if not admitted:
            return
        try:
            state, decoded, files = await _decode(table, decoder, admitted, state)
        except (ColumnConflictError, TableReplacedError, TableMissingError):
            table.forget()
        else:
            _add(prepared, admitted, state, decoded, files)
            return
    raise ColumnConflictError(f"The schema of {table.name} keeps changing.")


def _admitted(
    table: CachedTable, batches: Sequence[QueuedBatch], state: TableState | None
) -> Sequence[QueuedBatch]:
    """Return the batches that may create a missing table; refuse the others."""
    if state is not None:
        return batches
    refuse([each for each in batches if not each.batch.auto_create], table_not_found(table.name))
    return [each for each in batches if each.batch.auto_create]


async def _decode(
    table: CachedTable, decoder: Decoder, batches: Sequence[QueuedBatch], state: TableState | None
) -> tuple[TableState | None, DecodedGroup, list[DataFile]]:
    """Return the decoded bodies, their data files, and the state that these were written for."""
    bodies = [queued.batch.body for queued in batches]
    decoded, files = await table.workers.run(_decode_and_write, decoder, bodies, state)
    if files is not None and (state is not None or not _has_stream_batch(batches, decoded)):
        return state, decoded, files
    state = await _create_or_widen(table, state, decoder, decoded.rows.schema)
    return state, *await table.workers.run(_write, state, decoded)


def _has_stream_batch(batches: Sequence[QueuedBatch], decoded: DecodedGroup) -> bool:
    """Return whether a valid batch is of a stream: even without rows it needs its table."""
    return any(
        queued.batch.position is not None and not isinstance(outcome, LakegateError)
        for queued, outcome in zip(batches, decoded.outcomes, strict=True)
    )


def _decode_and_write(
    decoder: Decoder, bodies: Sequence[Body], state: TableState | None
) -> tuple[DecodedGroup, list[DataFile] | None]:
    """Decode, and write the data files if the table has all the columns; otherwise return None."""
    schema = state.arrow_schema if state is not None else round_trip(decoder.default_schema)
    decoded = decoder.decode(bodies, schema)
    if not len(decoded.rows):
        return decoded, []
    if state is None or new_columns(decoded.rows.schema, schema).names:
        return decoded, None
    return _write(state, decoded)


def _write(state: TableState, decoded: DecodedGroup) -> tuple[DecodedGroup, list[DataFile]]:
    """Write the data files of as many batches as the limit on partitions allows."""
    fit, placement = fitting(state, decoded)
    return fit, write_data_files(state, fit.rows, placement) if len(fit.rows) else []


async def _create_or_widen(
    table: CachedTable, state: TableState | None, decoder: Decoder, rows: pa.Schema
) -> TableState:
    """Create the table, or add the columns that it lacks."""
    if state is not None:
        return await table.widen(rows)
    default = decoder.default_schema
    return await table.create(pa.schema([*default, *new_columns(rows, default)]))


def _add(
    prepared: PreparedGroup,
    batches: Sequence[QueuedBatch],
    state: TableState | None,
    decoded: DecodedGroup,
    files: Sequence[DataFile],
) -> None:
    """Add the batches to the prepared group; defer those that do not fit."""
    if files and state is not None:
        try:
            prepared.add_files(state, files)
        except (TableChangedError, TableReplacedError):
            # The table has changed since the files of another format were written.
            prepared.deferred.extend(batches)
            return
    fit = len(decoded.outcomes)
    prepared.add_outcomes(batches[:fit], decoded.outcomes)
    prepared.deferred.extend(batches[fit:])
