"""Table properties: callers may set harmless ones, and none decides which code runs."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from pyiceberg.catalog import Catalog
from tests.testing.lines import COLUMNS, ORDERS, LinesDecoder, batch
from tests.testing.reading import duckdb_rows, load

from lakegate.cli.main import main
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.lake import Lake
from lakegate.lake.table.definition import TableDefinition
from lakegate.model import TableName
from lakegate.settings import Settings

HARMLESS = {
    "write.target-file-size-bytes": "134217728",
    "write.parquet.compression-codec": "gzip",
    "write.parquet.compression-level": "9",
    "write.parquet.row-group-limit": "1024",
    "write.parquet.page-size-bytes": "1024",
    "write.parquet.page-row-limit": "100",
    "write.parquet.dict-size-bytes": "1024",
    "write.avro.compression-codec": "gzip",
    "write.metadata.metrics.default": "counts",
    "write.metadata.metrics.column.label": "truncate(3)",
    "write.metadata.delete-after-commit.enabled": "false",
    "write.metadata.previous-versions-max": "1",
    "write.summary.partition-limit": "5",
    "write.object-storage.enabled": "true",
    "write.object-storage.partitioned-paths": "false",
    "history.expire.max-snapshot-age-ms": "600000",
    "history.expire.max-ref-age-ms": "600000",
    "history.expire.min-snapshots-to-keep": "2",
    "commit.manifest-merge.enabled": "false",
    "gc.enabled": "false",
    "format-version": "2",
    "comment": "orders, as they come",
    "user.team": "sales",
}
HARMFUL = [
    ("py-io-impl", "sys.exit"),
    ("write.py-location-provider.impl", "antigravity.X"),
    ("write.data.path", "file:///any"),
    ("write.metadata.path", "file:///any"),
    ("s3.endpoint", "http://127.0.0.1:19555"),
    ("lakegate.type.1", "garbage"),
    ("lakegate.managed", "false"),
    ("location", "file:///any"),
    ("user.", "nothing"),
    ("user.a\x00", "x"),
    ("user.a", "\x00"),
    ("comment", "a\x1b[2J\nb"),
    ("user." + "k" * 300, "long"),
    ("comment", "c" * 5000),
    ("format-version", "3"),
    ("format-version", "x"),
    ("write.target-file-size-bytes", "abc"),
    ("write.target-file-size-bytes", "٣"),
    ("write.target-file-size-bytes", "9" * 5000),
    ("write.parquet.compression-codec", "zip"),
    ("write.parquet.compression-level", "22"),
    ("write.parquet.row-group-limit", "0"),
    ("write.parquet.row-group-limit", "-7"),
    ("write.avro.compression-codec", "lz4"),
    ("write.summary.partition-limit", "x"),
    ("write.metadata.metrics.default", "truncate(0)"),
    ("write.metadata.metrics.column.label", "some"),
    ("write.metadata.previous-versions-max", "x"),
    ("history.expire.max-snapshot-age-ms", "x"),
    ("history.expire.max-snapshot-age-ms", "1"),
    ("gc.enabled", "maybe"),
]


async def test_a_table_with_every_harmless_property_is_written(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(properties=HARMLESS))
    await lake.append(batch(decoder, {"label": "a"}))
    await lake.append(batch(decoder, {"label": "b"}))
    assert duckdb_rows(catalog) == ["a", "b"]
    properties = load(catalog).properties
    assert {
        k: v for k, v in HARMLESS.items() if k != "format-version"
    }.items() <= properties.items()


@pytest.mark.parametrize(("key", "value"), HARMFUL)
@pytest.mark.parametrize("exists", [False, True])
async def test_any_other_property_is_refused_and_named(
    lake: Lake, catalog: Catalog, key: str, value: str, *, exists: bool
) -> None:
    if exists:
        await lake.ensure_table(ORDERS, COLUMNS)
    with pytest.raises(LakegateError) as refusal:
        await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(properties={key: value}))
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
    assert repr(key[:100])[1:-1] in refusal.value.message
    assert catalog.table_exists("default.orders") == exists
    if exists:
        assert load(catalog).properties.get(key) != value


@pytest.mark.parametrize("codec", ["zstd", "gzip", "brotli", "lz4", "snappy", "uncompressed"])
async def test_every_engine_reads_every_allowed_codec(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, codec: str
) -> None:
    shape = TableDefinition(properties={"write.parquet.compression-codec": codec})
    await lake.ensure_table(ORDERS, COLUMNS, shape)
    await lake.append(batch(decoder, {"label": "a"}))
    assert duckdb_rows(catalog) == ["a"]


async def test_a_level_needs_a_codec_that_has_levels(lake: Lake, catalog: Catalog) -> None:
    level = {"write.parquet.compression-level": "3"}
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(properties=level))
    for codec in ("snappy", "uncompressed"):
        shape = TableDefinition(properties={"write.parquet.compression-codec": codec})
        with pytest.raises(LakegateError, match="has no levels") as refusal:
            await lake.ensure_table(ORDERS, COLUMNS, shape)
        assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
    assert load(catalog).properties["write.parquet.compression-codec"] == "zstd"


async def test_the_number_of_properties_is_limited(lake: Lake) -> None:
    for number in range(2):
        many = {f"user.{number}.{key}": "" for key in range(150)}
        if number == 0:
            await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(properties=many))
        else:
            with pytest.raises(LakegateError, match="at most 200 properties"):
                await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(properties=many))


def break_table(catalog: Catalog, name: TableName) -> None:
    """Leave a table whose metadata file is gone."""
    table = catalog.load_table((name.database, name.table))
    Path(table.metadata_location.removeprefix("file://")).unlink()


def lose_data(catalog: Catalog, name: TableName) -> None:
    """Leave a table one of whose data files is gone."""
    lost, *_ = load(catalog, name).inspect.files()["file_path"].to_pylist()
    Path(lost.removeprefix("file://")).unlink()


async def test_one_bad_table_does_not_stop_the_maintenance_of_the_others(
    lake: Lake,
    settings: Settings,
    catalog: Catalog,
    decoder: LinesDecoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad, worse, good = (TableName("default", name) for name in ("bad", "a_worse", "good"))
    for name in (bad, worse, good):
        for label in "abc":
            await lake.append(batch(decoder, {"label": label}, table=name))
    lose_data(catalog, bad)
    break_table(catalog, worse)
    monkeypatch.setenv("LAKEGATE_HOME", str(settings.home))
    result = CliRunner().invoke(main, ["maintain"])
    assert result.exit_code == 1
    assert "Tables maintained    1" in result.stdout
    assert "the maintenance of 2 tables failed" in result.stderr
    assert len(catalog.load_table("default.good").inspect.files()) == 1
    listed = CliRunner().invoke(main, ["tables"])
    assert listed.exit_code == 0
    assert "default.bad " in listed.stdout
    assert "default.good " in listed.stdout
