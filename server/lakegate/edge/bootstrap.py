"""Envoy's configuration: the YAML of `envoy/`, its values filled in, and the files beside it.

    python -m lakegate.edge.bootstrap UPSTREAM_ADDR DIRECTORY

writes them for an Envoy elsewhere, with the settings of the environment.
"""

import json
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from lakegate.contract import descriptor_set
from lakegate.edge.access_log import access_log
from lakegate.edge.addresses import split_address
from lakegate.edge.headers import header_mutations
from lakegate.edge.lua import with_contract
from lakegate.edge.refusals import local_reply_config
from lakegate.edge.routes import routes
from lakegate.edge.tls import tls_values
from lakegate.edge.transcoder import transcoder
from lakegate.settings import Settings, read_settings

# The admin interface of Envoy, in the folder of its configuration.
ADMIN_SOCKET = "admin.sock"
_SOURCES = resources.files("lakegate.edge") / "bootstrap"


def write_configuration(settings: Settings, upstream_addr: str, directory: Path) -> Path:
    """Write the files that Envoy reads into `directory`; return the path of the bootstrap."""
    values = _values(settings, upstream_addr, directory)
    for name in ("errors", "ends"):
        source = (_SOURCES / f"{name}.lua").read_text()
        values[f"{name}_lua_file"] = _write(directory / f"{name}.lua", with_contract(source))
    document = _write(directory / "openapi.json", (_SOURCES / "openapi.json").read_text())
    descriptors = directory / "lakegate.binpb"
    descriptors.write_bytes(descriptor_set().SerializeToString())
    strict, lenient = (
        transcoder(str(descriptors), ignores_unknown_parameters=ignores)
        for ignores in (False, True)
    )
    values["transcoder"] = strict
    values["routes"] = routes(values["read_seconds"], document, lenient)

    chains = ("redirect.yaml", "gate.yaml") if settings.tls_cert else ("gate.yaml",)
    values["filter_chains"] = [_read(name, values) for name in chains]
    bootstrap = directory / "bootstrap.json"
    _write(bootstrap, json.dumps(_read("bootstrap.yaml", values), indent=1))
    return bootstrap


def _values(settings: Settings, upstream_addr: str, directory: Path) -> dict[str, Any]:
    listen_host, listen_port = split_address(settings.http_addr)
    upstream_host, upstream_port = split_address(upstream_addr)
    return {
        "listen_host": listen_host,
        "listen_port": listen_port,
        "upstream_host": upstream_host,
        "upstream_port": upstream_port,
        "admin_socket": str(directory / ADMIN_SOCKET),
        "max_heap_bytes": settings.envoy_memory,
        "read_seconds": f"{settings.read_timeout_seconds:.3f}s",
        "idle_seconds": f"{settings.idle_timeout_seconds:.3f}s",
        "local_replies": local_reply_config(),
        "header_mutations": header_mutations(),
        "access_log": access_log(is_complete=settings.access_log == "all"),
        **tls_values(settings, directory),
    }


def _read(name: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the file has
    """Read a YAML file; `!value name` is the value of that name."""

    class Loader(yaml.SafeLoader):
        pass

    def value(loader: Loader, node: yaml.ScalarNode) -> Any:  # noqa: ANN401 - as said
        return values[loader.construct_scalar(node)]

    Loader.add_constructor("!value", value)
    return yaml.load((_SOURCES / name).read_text(), Loader)  # noqa: S506 - a safe loader


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


if __name__ == "__main__":
    write_configuration(read_settings(), sys.argv[1], Path(sys.argv[2]).absolute())
