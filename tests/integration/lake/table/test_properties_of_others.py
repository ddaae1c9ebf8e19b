"""What the properties of another engine's table say is not done: no code runs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from tests.testing.lines import COLUMNS, LinesDecoder, batch
from tests.testing.rest_catalog import rest_catalog

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.catalog.pyiceberg_private import pin_storage
from lakegate.lake.lake import Lake
from lakegate.settings import Settings


class Trap(ModuleType):
    """A module whose classes notice that they are made."""

    sprung = False

    def Impl(self, *_: object) -> None:  # noqa: N802 - it stands for a class
        self.sprung = True
        raise RuntimeError("code that a table named ran")


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trap]:
    trap = Trap("trap_of_a_table")
    monkeypatch.setitem(sys.modules, trap.__name__, trap)
    yield trap
    assert not trap.sprung


@pytest.mark.parametrize("kind", ["embedded", "rest"])
async def test_a_table_of_another_engine_runs_no_code_and_names_no_endpoint(
    kind: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: Trap
) -> None:
    theirs = {
        "py-io-impl": f"{trap.__name__}.Impl",
        "write.py-location-provider.impl": f"{trap.__name__}.Impl",
        "s3.endpoint": "http://elsewhere",
    }
    with rest_catalog(tmp_path) as uri:
        if kind == "rest":
            monkeypatch.setenv("PYICEBERG_CATALOG__FAR__TYPE", "rest")
            monkeypatch.setenv("PYICEBERG_CATALOG__FAR__URI", uri)
            settings = settings.model_copy(update={"catalog": "far"})
        with open_catalog(settings.catalog, settings.home) as catalog:
            catalog.create_namespace("default")
            table = catalog.create_table("default.orders", COLUMNS)
            set_behind_the_gate(kind, tmp_path, catalog, theirs)
            lake = Lake(open_catalog(settings.catalog, settings.home), settings)
            await lake.append(batch(LinesDecoder(), {"label": "a"}))
            await lake.close()
            loaded = catalog.load_table("default.orders")
            assert loaded.properties.items() >= theirs.items()
            assert "s3.endpoint" not in loaded.io.properties
            assert type(loaded.io) is type(table.io)
            assert loaded.scan().to_arrow()["label"].to_pylist() == ["a"]


def set_behind_the_gate(
    kind: str, home: Path, catalog: Catalog, properties: dict[str, str]
) -> None:
    """Set properties of a table as the owner of the catalog can, who loads no class for it."""
    if kind == "rest":
        with open_catalog_behind(home) as behind:
            rewrite_metadata(behind, properties)
    else:
        rewrite_metadata(catalog, properties)


def rewrite_metadata(catalog: Catalog, properties: dict[str, str]) -> None:
    with catalog.load_table("default.orders").transaction() as transaction:
        transaction.set_properties(properties)


def open_catalog_behind(home: Path) -> Catalog:
    warehouse = (home / "rest-warehouse").as_uri()
    catalog = SqlCatalog("behind", uri=f"sqlite:///{home / 'rest.db'}", warehouse=warehouse)
    pin_storage(catalog)
    return catalog
