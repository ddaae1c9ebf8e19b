"""The checked-in Python code is what the contract generates."""

import json
from pathlib import Path

import grpc_tools
import pytest
from google import rpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from lakegate.openapi.document import openapi

ROOT = Path(__file__).parents[2]
PROTOS = sorted((ROOT / "proto").rglob("*.proto"))
PROTOBUF = Path(grpc_tools.__file__).parent / "_proto"
GOOGLEAPIS = Path(rpc.__path__[0]).parents[1]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated")
    arguments = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    files = [str(proto) for proto in PROTOS]
    includes = [f"-I{path}" for path in (ROOT / "proto", GOOGLEAPIS, PROTOBUF)]
    code = protoc.main(["protoc", *includes, *arguments, *files])
    assert code == 0
    return out / "lakegate" / "v1"


def test_the_openapi_document_is_fresh(tmp_path: Path) -> None:
    out = tmp_path / "contract.binpb"
    includes = [f"-I{path}" for path in (ROOT / "proto", GOOGLEAPIS, PROTOBUF)]
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
    assert protoc.main(["protoc", *includes, *options, *map(str, PROTOS)]) == 0
    fresh = openapi(FileDescriptorSet.FromString(out.read_bytes()))
    assert json.loads((ROOT / "envoy" / "openapi.json").read_text()) == fresh


def test_the_generated_code_is_fresh(generated: Path) -> None:
    checked_in = ROOT / "server" / "lakegate" / "v1"
    fresh = {path.name: path.read_text() for path in generated.iterdir()}
    present = {
        path.name: path.read_text() for path in checked_in.glob("*_pb2*") if path.suffix != ".pyc"
    }
    assert present == fresh
