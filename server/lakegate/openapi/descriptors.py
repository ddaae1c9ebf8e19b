"""The descriptors of the contract, by name, with the comments of the protos."""

import re
from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

_PACKAGE = "lakegate.v1"


class Descriptors:
    """The files, messages and methods of the contract."""

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        """Index `descriptors`, which have source information."""
        self.files = [file for file in descriptors.file if file.package == _PACKAGE]
        self.messages: dict[str, tuple[FileDescriptorProto, DescriptorProto]] = {
            f".{_PACKAGE}.{message.name}": (file, message)
            for file in self.files
            for message in file.message_type
        }
        self._comments = {
            (file.name, tuple(location.path)): _paragraphs(location.leading_comments)
            for file in self.files
            for location in file.source_code_info.location
        }

    def comment(self, file: FileDescriptorProto, *path: int) -> str:
        """Return the comment at a path of the source information; empty if there is none."""
        return self._comments.get((file.name, path), "")

    def methods(self) -> Iterator[tuple[FileDescriptorProto, MethodDescriptorProto, str]]:
        """Yield every method with its file and its comment."""
        for file in self.files:
            for i, service in enumerate(file.service):
                for j, method in enumerate(service.method):
                    yield file, method, self.comment(file, 6, i, 2, j)

    def fields(self, type_name: str) -> dict[str, tuple[FieldDescriptorProto, str]]:
        """Return the fields of a message, by their JSON names, with their comments."""
        file, message = self.messages[type_name]
        index = list(file.message_type).index(message)
        # Events have the names of Ryft's document, other messages those of the protos.
        events = file.name.endswith("query_events.proto")
        return {
            field.json_name if events else field.name: (field, self.comment(file, 4, index, 2, i))
            for i, field in enumerate(message.field)
        }


def short_name(type_name: str) -> str:
    """Return the last part of the name of a type."""
    return type_name.rpartition(".")[2]


def _paragraphs(comment: str) -> str:
    lines = [line.strip() for line in comment.splitlines()]
    kept = [line for line in lines if not line.startswith("buf:lint")]
    return re.sub(r"(?<!\n)\n(?!\n)", " ", "\n".join(kept)).strip()
