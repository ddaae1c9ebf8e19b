"""Which snapshots expire, and which are kept."""

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.update import SetSnapshotRefUpdate

from lakegate.lake.catalog import numeric_properties
from lakegate.lake.table.retention import Retention, min_interval_seconds

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


@pytest.fixture
def table(catalog: Catalog) -> Table:
    """A managed table with ten new snapshots."""
    catalog.create_namespace("default")
    columns = pa.schema([("n", pa.int64())])
    table = catalog.create_table("default.orders", columns, properties={"lakegate.managed": "true"})
    for number in range(10):
        table.append(pa.table({"n": [number]}))
    return table


def ids(table: Table) -> list[int]:
    return [snapshot.snapshot_id for snapshot in table.snapshots()]


def now_ms(table: Table) -> int:
    """Return a time at which every snapshot is a minute old."""
    return table.snapshots()[-1].timestamp_ms + MINUTE_MS


def test_own_snapshots_expire_when_there_are_too_many(table: Table) -> None:
    expired = Retention(count=4).expired(table.metadata, ids(table), now_ms(table))
    assert expired == ids(table)[:6]


def test_snapshots_of_another_server_are_kept_until_it_needs_to_find_them_no_longer(
    table: Table,
) -> None:
    retention = Retention(count=4, others_age_ms=10 * MINUTE_MS)
    assert retention.expired(table.metadata, (), now_ms(table)) == []
    later = now_ms(table) + 11 * MINUTE_MS
    assert retention.expired(table.metadata, (), later) == ids(table)[:6]


def test_every_snapshot_is_kept_for_a_minute_so_that_other_engines_can_commit_on_it(
    table: Table,
) -> None:
    made_ms = [snapshot.timestamp_ms for snapshot in table.snapshots()]
    now_ms = made_ms[4] + MINUTE_MS - 1
    expired = Retention(count=2).expired(table.metadata, ids(table), now_ms)
    assert expired == [
        each for each, at in zip(ids(table), made_ms, strict=True) if at < made_ms[4]
    ]
    longer = Retention(count=2, min_age_ms=2 * MINUTE_MS)
    assert longer.expired(table.metadata, ids(table), now_ms) == []


def test_an_unmanaged_table_keeps_every_snapshot(table: Table) -> None:
    with table.transaction() as transaction:
        transaction.remove_properties("lakegate.managed")
    later = now_ms(table) + 6 * DAY_MS
    assert Retention(count=1).expired(table.metadata, ids(table), later) == []


def test_a_busy_table_with_more_snapshots_commits_less_often(table: Table) -> None:
    few = min_interval_seconds(table.metadata)
    doubled = table.metadata.model_copy(update={"snapshots": 2 * table.metadata.snapshots})
    assert min_interval_seconds(doubled) == 2 * few > 0


def test_old_snapshots_expire_even_if_there_are_few(table: Table) -> None:
    later = now_ms(table) + 6 * DAY_MS
    assert Retention(count=100).expired(table.metadata, (), later) == ids(table)[:-1]


def test_a_table_that_keeps_its_snapshots_for_a_time_keeps_all_of_them(table: Table) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"history.expire.max-snapshot-age-ms": str(DAY_MS)})
    retention = Retention(count=4)
    assert retention.expired(table.metadata, ids(table), now_ms(table)) == []
    later = now_ms(table) + 2 * DAY_MS
    assert retention.expired(table.metadata, ids(table), later) == ids(table)[:-1]


def test_a_table_that_keeps_a_number_of_snapshots_keeps_them(table: Table) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"history.expire.min-snapshots-to-keep": "7"})
    later = now_ms(table) + 6 * DAY_MS
    assert Retention(count=2).expired(table.metadata, (), later) == ids(table)[:3]


def test_the_snapshots_of_tags_and_branches_are_kept(table: Table) -> None:
    every = ids(table)
    table.manage_snapshots().create_tag(every[0], "first").commit()
    table.manage_snapshots().create_branch(every[3], "side").commit()
    expired = Retention(count=2).expired(table.metadata, every, now_ms(table))
    assert expired == every[4:8]


def test_a_table_that_forbids_collecting_garbage_keeps_every_snapshot(table: Table) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"gc.enabled": "false"})
    later = now_ms(table) + 6 * DAY_MS
    assert Retention(count=1).expired(table.metadata, ids(table), later) == []


def test_in_a_table_of_version_1_the_oldest_snapshots_expire(catalog: Catalog) -> None:
    catalog.create_namespace("default")
    columns = pa.schema([("n", pa.int64())])
    properties = {"format-version": "1", "lakegate.managed": "true"}
    table = catalog.create_table("default.orders", columns, properties=properties)
    for number in range(6):
        table.append(pa.table({"n": [number]}))
    expired = Retention(count=2).expired(table.metadata, ids(table), now_ms(table))
    assert expired == ids(table)[:4]


@pytest.mark.parametrize(
    ("kept", "days"), [({"min_snapshots_to_keep": 7}, 6), ({"max_snapshot_age_ms": DAY_MS}, 0)]
)
def test_retention_of_the_branch_main_comes_first(
    table: Table, catalog: Catalog, kept: dict[str, int], days: int
) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"history.expire.min-snapshots-to-keep": "2"})
    main = SetSnapshotRefUpdate(
        ref_name="main", type="branch", snapshot_id=table.metadata.current_snapshot_id, **kept
    )
    catalog.commit_table(table, (), (main,))
    table.refresh()
    later = now_ms(table) + days * DAY_MS
    expired = Retention(count=3).expired(table.metadata, ids(table), later)
    assert expired == (ids(table)[:3] if days else [])


@pytest.mark.parametrize("value", ["7 days", "", "9" * 5000, "1_000"])
def test_a_property_that_is_not_a_number_is_ignored(
    table: Table, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    numeric_properties._warn.cache_clear()  # it is logged once in the life of a process
    expected = Retention(count=4).expired(table.metadata, ids(table), now_ms(table))
    names = ("history.expire.max-snapshot-age-ms", "history.expire.min-snapshots-to-keep")
    with table.transaction() as transaction:
        transaction.set_properties(dict.fromkeys(names, value))
    assert Retention(count=4).expired(table.metadata, ids(table), now_ms(table)) == expected
    if value == "7 days":
        assert all(name in caplog.text for name in names)
