"""A REST catalog over HTTP, for tests: the protocol of the spec in front of a SQL catalog.

Only what a writer asks for; see the Iceberg REST catalog's OpenAPI document.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic_core import from_json, to_json
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table import CommitTableRequest, Table
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from sqlalchemy.exc import IntegrityError

from lakegate.lake.catalog.pyiceberg_private import pin_storage

STATUS = {
    CommitFailedException: 409,
    IntegrityError: 409,  # two make one namespace at once
    NamespaceAlreadyExistsError: 409,
    TableAlreadyExistsError: 409,
    NoSuchNamespaceError: 404,
    NoSuchTableError: 404,
}


class _Handler(BaseHTTPRequestHandler):
    catalog: SqlCatalog
    protocol_version = "HTTP/1.0"  # one request a connection, so that none outlives the server

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_DELETE(self) -> None:
        self._answer(lambda path, _: self.catalog.drop_table((path[1], path[3])))

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _get(self, path: list[str], _: Any) -> Any:
        match path:
            case ["config"]:
                return {"defaults": {}, "overrides": {}}
            case ["namespaces"]:
                return {"namespaces": self.catalog.list_namespaces()}
            case ["namespaces", namespace]:
                properties = self.catalog.load_namespace_properties(namespace)
                return {"namespace": [namespace], "properties": properties}
            case ["namespaces", namespace, "tables"]:
                tables = self.catalog.list_tables(namespace)
                return {"identifiers": [{"namespace": [n], "name": t} for n, t in tables]}
            case ["namespaces", namespace, "tables", table]:
                return _loaded(self.catalog.load_table((namespace, table)))
        raise LookupError(path)

    def _post(self, path: list[str], body: Any) -> Any:
        match path:
            case ["namespaces"]:
                self.catalog.create_namespace(tuple(body["namespace"]))
                return {"namespace": body["namespace"], "properties": {}}
            case ["namespaces", namespace, "tables"]:
                optional = dict.fromkeys(("location", "partition-spec", "write-order"))
                request = CreateTableRequest.model_validate({**optional, **body})
                return _loaded(
                    self.catalog.create_table(
                        (namespace, request.name),
                        request.table_schema,
                        request.location,
                        request.partition_spec or UNPARTITIONED_PARTITION_SPEC,
                        request.write_order or UNSORTED_SORT_ORDER,
                        request.properties,
                    )
                )
            case ["namespaces", namespace, "tables", table]:
                commit = CommitTableRequest.model_validate(body)
                loaded = self.catalog.load_table((namespace, table))
                done = self.catalog.commit_table(loaded, commit.requirements, commit.updates)
                return {"metadata-location": done.metadata_location, "metadata": done.metadata}
            case ["tables", "rename"]:
                names = (body["source"], body["destination"])
                self.catalog.rename_table(*((*each["namespace"], each["name"]) for each in names))
                return None
            case ["namespaces", _, "tables", _, "metrics"]:
                return None
        raise LookupError(path)

    def _answer(self, handle: Callable[[list[str], Any], Any]) -> None:
        path = [unquote(part) for part in urlsplit(self.path).path.split("/")[2:]]
        length = int(self.headers.get("Content-Length", 0))
        body = from_json(self.rfile.read(length)) if length else None
        try:
            status, answer = 200, handle(path, body)
        except Exception as error:  # noqa: BLE001 - a server answers every error
            status = STATUS.get(type(error), 500)
            text = {"message": str(error), "type": type(error).__name__, "code": status}
            answer = {"error": text}
        data = to_json(answer, by_alias=True, exclude_none=True) if answer is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _loaded(table: Table) -> dict[str, Any]:
    return {
        "metadata-location": table.metadata_location,
        "metadata": table.metadata,
        "config": {},
    }


@contextmanager
def rest_catalog(home: Path, port: int = 0) -> Iterator[str]:
    """Serve tables under `home`; gives the URI of the catalog."""
    warehouse = home / "rest-warehouse"
    warehouse.mkdir(parents=True, exist_ok=True)
    database = f"sqlite:///{home / 'rest.db'}?timeout=30"
    with SqlCatalog("behind", uri=database, warehouse=warehouse.as_uri()) as catalog:
        pin_storage(catalog)  # a server of another make loads no class of Python's
        handler = type("Handler", (_Handler,), {"catalog": catalog})
        with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
