"""Unit tests open no socket: what needs a server or PostgreSQL is in tests/integration."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def no_sockets() -> Iterator[None]:
    """Refuse sockets, and fail also where the code under test bears the refusal."""
    opened: list[object] = []

    def refuse(*_: object, **__: object) -> NoReturn:
        opened.append(refuse)
        raise ConnectionRefusedError("a unit test opens no socket")

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in OPENERS:
            patch.setattr(owner, name, refuse)
        yield
    if opened:
        pytest.fail("a unit test opens a socket: its place is tests/integration")


# Around the fixtures too, of any scope.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    with no_sockets():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with no_sockets():
        return (yield)
