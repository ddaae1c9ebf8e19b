"""Envoy's configuration: YAML as it stands, with each fact from its one home."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakegate import wire
from lakegate.edge.bootstrap import write_configuration
from lakegate.errors import ErrorCode
from lakegate.settings import Settings

ENVOY = Path(__file__).parents[3] / "envoy"
SOURCES = sorted(ENVOY.glob("*.yaml"))


def written(directory: Path, **settings: Any) -> Any:
    path = write_configuration(Settings(**settings), "127.0.0.1:50051", directory)
    return json.loads(path.read_text())


def filled_in() -> set[str]:
    nodes = [event for path in SOURCES for event in yaml.parse(path.read_text())]
    return {
        node.value for node in nodes if isinstance(node, yaml.ScalarEvent) and node.tag == "!value"
    }


def chains(bootstrap: Any) -> list[Any]:
    (listener,) = bootstrap["static_resources"]["listeners"]
    found: list[Any] = listener["filter_chains"]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_sources_are_valid_yaml_as_they_stand(path: Path) -> None:
    assert isinstance(yaml.compose(path.read_text()), yaml.MappingNode)


def test_the_readme_lists_what_is_filled_in() -> None:
    section = (ENVOY / "README.md").read_text().split("## What is filled in")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == filled_in()


def test_plain_http_is_redirected_only_where_there_is_tls(tmp_path: Path) -> None:
    assert len(chains(written(tmp_path))) == 1
    redirect, gate = chains(written(tmp_path, tls_cert=Path("c"), tls_key=Path("k")))
    assert redirect["filter_chain_match"] == {"transport_protocol": "raw_buffer"}
    assert gate["filter_chain_match"] == {"transport_protocol": "tls"}


def test_every_rest_path_of_the_contract_is_routed_with_its_methods(tmp_path: Path) -> None:
    (chain,) = chains(written(tmp_path))
    (manager,) = chain["filters"]
    (host,) = manager["typed_config"]["route_config"]["virtual_hosts"]
    allowed = {
        route["match"]["safe_regex"]["regex"].removesuffix("/?"): header["value"]
        for route in host["routes"]
        for added in route.get("response_headers_to_add", [])
        for header in [added["header"]]
    }
    assert allowed == {
        "/health": "GET",
        "/v1/ingest": "POST",
        "/ingest/push/queries": "POST",
        r"/openapi\.json": "GET",
        "/v1/admin/databases/[^/]+/tables": "GET",
        "/v1/admin/databases/[^/]+/tables/[^/]+": "GET, POST",
        "/v1/databases/[^/]+/tables/[^/]+/streams/[^/]+": "GET",
    }


def test_the_headers_between_envoy_and_the_server_are_those_of_the_wire_module() -> None:
    named = {
        name
        for path in [*SOURCES, *ENVOY.glob("*.lua")]
        for name in re.findall(r"\blakegate-[a-z-]+", path.read_text())
    }
    assert named <= {value for name, value in vars(wire).items() if name.endswith("_KEY")}


def test_the_filters_name_only_codes_of_the_vocabulary() -> None:
    named = re.findall(
        r'(?:refuse\(handle, |error_body\()"(\w+)"', (ENVOY / "errors.lua").read_text()
    )
    assert named
    assert set(named) <= {code.value.name for code in ErrorCode}
