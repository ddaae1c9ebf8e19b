"""The methods of the contract, their REST routes and permissions, as the protos declare them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions

from lakegate.auth.tokens import Permission
from lakegate.v1 import health_pb2, ingest_pb2, permission_pb2, query_events_pb2, tables_pb2
from lakegate.v1.acknowledgement_pb2 import Acknowledgement

_HTTP_BODY = "google.api.HttpBody"
_FILES = tuple(
    module.DESCRIPTOR for module in (health_pb2, ingest_pb2, query_events_pb2, tables_pb2)
)
SERVICES = tuple(service.full_name for file in _FILES for service in file.services_by_name.values())


@dataclass(frozen=True, slots=True)
class Route:
    """A REST route: `verb` in upper case, `path` with its `{fields}`."""

    verb: str
    path: str


@dataclass(frozen=True, slots=True)
class Method:
    """An RPC. `name`: `Service/Method`. `grpc_path`: the path of a gRPC call.

    `takes_body`: the requests are the chunks of one HTTP body. `commits_rows`: the requests are
    batches, and the responses their acknowledgements. `permission`: None if anybody may call it.
    """

    name: str
    grpc_path: str
    route: Route | None
    permission: Permission | None
    returns_stream: bool
    takes_body: bool
    commits_rows: bool


def descriptor_set() -> FileDescriptorSet:
    """Return the descriptors of the contract, each file after its imports."""
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in files:
            for dependency in file.dependencies:
                add(dependency)
            files[file.name] = file

    for file in _FILES:
        add(file)
    descriptors = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(descriptors.file.add())
    return descriptors


def _methods() -> Iterator[Method]:
    for file in _FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                yield Method(
                    name=f"{service.name}/{method.name}",
                    grpc_path=f"/{service.full_name}/{method.name}",
                    route=_route(method),
                    permission=permission_of(method.GetOptions()),
                    returns_stream=method.server_streaming,
                    takes_body=_takes_body(method.input_type),
                    commits_rows=_acknowledges(method.output_type),
                )


def _acknowledges(answer: Descriptor) -> bool:
    """Whether a message is an acknowledgement, or has a field of that type."""
    acknowledgement = Acknowledgement.DESCRIPTOR
    return answer is acknowledgement or any(
        field.message_type is acknowledgement for field in answer.fields
    )


def _takes_body(request: Descriptor) -> bool:
    """Whether a message is a piece of an HTTP body, or has one."""
    return request.full_name == _HTTP_BODY or any(
        field.message_type and field.message_type.full_name == _HTTP_BODY
        for field in request.fields
    )


def _route(method: MethodDescriptor) -> Route | None:
    rule = http_rule(method.GetOptions())
    verb = rule.WhichOneof("pattern")
    return Route(verb.upper(), getattr(rule, verb)) if verb else None


def http_rule(options: MethodOptions) -> HttpRule:
    """Return the HTTP annotation of a method; it is empty for a method without a route."""
    rule: HttpRule = options.Extensions[annotations_pb2.http]
    return rule


def permission_of(options: MethodOptions) -> Permission | None:
    """Return the permission that a method needs. Raises `KeyError` if it declares none."""
    extension: Any = permission_pb2.permission  # the stub has the type of its descriptor
    value = options.Extensions[extension]
    name = permission_pb2.Permission.Name(value).removeprefix("PERMISSION_")
    return None if name == "NONE" else Permission[name]


METHODS = tuple(_methods())
