"""iceberg-core's own REST catalog server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.testing.engines.java import classpath, free_port, java, running, wait_until_ready


@contextmanager
def running_rest_catalog(folder: Path) -> Iterator[str]:
    """Serve tables under `folder` until the end of the block; gives the URI of the catalog."""
    port, log = free_port(), folder / "rest-catalog.log"
    warehouse = folder / "rest-warehouse"
    warehouse.mkdir()
    environment = {
        "CATALOG_REST_PORT": str(port),
        "CATALOG_CATALOG__IMPL": "org.apache.iceberg.jdbc.JdbcCatalog",
        "CATALOG_URI": f"jdbc:sqlite:{folder / 'rest-catalog.db'}",
        "CATALOG_WAREHOUSE": warehouse.as_uri(),
    }
    command = (
        java(17), "-Xmx512m", "-cp", classpath("rest-catalog"),
        "org.apache.iceberg.rest.RESTCatalogServer",
    )  # fmt: skip
    uri = f"http://127.0.0.1:{port}"
    with running(command, log, environment) as process:
        wait_until_ready(process, log, lambda: httpx.get(f"{uri}/v1/config").is_success)
        yield uri
