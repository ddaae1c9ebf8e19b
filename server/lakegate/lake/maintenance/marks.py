"""Marks: since when files of a table are known to be unreferenced, stored at its location.

Marks only delay deletions, so lost or unreadable marks are started again, and of two concurrent
sweeps the last one to write wins.
"""

import logging
import uuid

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from lakegate.lake.failures import described
from lakegate.lake.files.names import own_name

log = logging.getLogger(__name__)

# Below the table's location.
MARKS = f"metadata/{own_name('unreferenced.parquet')}"
# `path`: below the location. `since`: in milliseconds since the epoch. `fence`: the latest fence
# of the table when the file was first found unreferenced, read after the file was listed.
_COLUMNS = pa.schema([("path", pa.string()), ("since", pa.int64()), ("fence", pa.string())])


def update_marks(marks: pa.Table, unreferenced: pa.Table, fence: str, now_ms: int) -> pa.Table:
    """Return the `unreferenced` files with their marks, and new marks for those without.

    Marks of other files are dropped. Marks in the future (a clock was set back) are replaced.
    """
    joined = unreferenced.join(marks, "path", join_type="left outer").sort_by("path")
    since = pc.min_element_wise(joined["since"], now_ms)  # nulls are skipped
    under = pc.coalesce(joined["fence"], fence)
    unmarked = joined.drop_columns(["since", "fence"])
    return unmarked.append_column("since", since).append_column("fence", under)


def read_marks(files: FileSystem, root: str) -> pa.Table:
    """Read the marks below the path `root`; return no marks if they cannot be read."""
    try:
        marks = pq.read_table(f"{root}/{MARKS}", filesystem=files)
    except FileNotFoundError:
        return _COLUMNS.empty_table()
    except (OSError, pa.ArrowInvalid) as error:
        log.warning(
            "The marks of unreferenced files are unreadable, and started again: %s",
            described(error),
        )
        return _COLUMNS.empty_table()
    if not marks.schema.equals(_COLUMNS):
        return _COLUMNS.empty_table()
    return marks


def write_marks(files: FileSystem, root: str, marks: pa.Table) -> None:
    """Write the marks below the path `root`, atomically."""
    new = f"{root}/{MARKS}.{uuid.uuid4()}"
    pq.write_table(marks.select(_COLUMNS.names).cast(_COLUMNS), new, filesystem=files)
    files.move(new, f"{root}/{MARKS}")
