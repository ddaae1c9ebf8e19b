"""Unit tests open no socket: what needs a server or PostgreSQL is in tests/integration."""

import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import grpc.aio
import psycopg
import pytest

# grpc and psycopg open theirs in C, where Python's own are not in the way.
OPENERS: tuple[tuple[Any, str], ...] = (
    (socket.socket, "bind"),
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (grpc.aio, "insecure_channel"),
    (grpc.aio, "secure_channel"),
    (grpc.aio.Server, "add_insecure_port"),
    (grpc.aio.Server, "add_secure_port"),
    (psycopg, "connect"),
    (psycopg.Connection, "connect"),
)


def _refuse(*_: object, **__: object) -> NoReturn:
    pytest.fail("a unit test opens a socket: its place is tests/integration")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Refuse sockets while a test of this folder runs, its fixtures of any scope included."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in OPENERS:
            patch.setattr(owner, name, _refuse)
        return (yield)
