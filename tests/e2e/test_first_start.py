"""A start that cannot succeed ends with one line that says what to do, and leaves no file."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.testing.gate.running_gate import RunningGate, lakegate

from lakegate.lake.catalog.open import open_catalog

FREE = {"LAKEGATE_HTTP_ADDR": "127.0.0.1:0", "LAKEGATE_GRPC_ADDR": "127.0.0.1:0"}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder one in which nobody can create a file, not even root."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    done = subprocess.run(["chattr", "+i", folder], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("root, and a file system without chattr +i")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


@pytest.mark.parametrize(
    ("command", "name"),
    [("serve", "GRPC_ADDR"), ("up", "GRPC_ADDR"), ("up", "HTTP_ADDR")],
)
def test_an_address_in_use_is_named_before_any_file_is_made(
    gate: RunningGate, tmp_path: Path, command: str, name: str
) -> None:
    taken = gate.grpc_addr if name == "GRPC_ADDR" else gate.http_addr
    home = tmp_path / "home"
    ended = lakegate(home, command, settings={**FREE, f"LAKEGATE_{name}": taken})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"Error: cannot listen on {taken}: another program listens there: stop it, or "
        f"set LAKEGATE_{name} to another address\n"
    )
    assert not home.exists()


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    ended = lakegate(tmp_path, "up", settings={**FREE, "LAKEGATE_HTTP_ADDR": "192.0.2.1:8080"})
    assert ended.stderr == (
        "Error: cannot listen on 192.0.2.1:8080: this machine does not have the address: "
        "set LAKEGATE_HTTP_ADDR to another address\n"
    )


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "LAKEGATE_HTTP_ADRR",
            "0.0.0.0:80",
            "Error: LAKEGATE_HTTP_ADRR is not a setting: did you mean LAKEGATE_HTTP_ADDR?\n",
        ),
        (
            "LAKEGATE_HTTP_ADDR",
            "8080",
            "Error: LAKEGATE_HTTP_ADDR: '8080' is not host:port, as 127.0.0.1:8080 is\n",
        ),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variable: str, value: str, line: str) -> None:
    home = tmp_path / "home"
    ended = lakegate(home, "up", settings={variable: value})
    assert (ended.returncode, ended.stderr) == (1, line)
    assert not home.exists()


@pytest.mark.parametrize("command", [["up"], ["serve"], ["tables"], ["token", "create"]])
@pytest.mark.parametrize("below", [False, True])
def test_a_home_that_is_a_file_is_named(tmp_path: Path, command: list[str], *, below: bool) -> None:
    file = tmp_path / "file"
    file.touch()
    ended = lakegate(file / "home" if below else file, *command, settings=FREE)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: LAKEGATE_HOME: {file} is a file: set a folder\n"


@pytest.mark.parametrize("command", [["up"], ["serve"], ["token", "create"]])
@pytest.mark.parametrize("below", [False, True])
def test_a_folder_that_is_not_writable_is_named(
    tmp_path: Path, command: list[str], *, below: bool
) -> None:
    with locked(tmp_path):
        ended = lakegate(tmp_path / "home" if below else tmp_path, *command, settings=FREE)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Error: LAKEGATE_HOME: {tmp_path} is not writable: make it so, or set another folder\n"
    )


@pytest.mark.parametrize("command", [["tables"], ["sql", "select 1"], ["token", "list"]])
def test_a_home_that_is_read_only_is_named(tmp_path: Path, command: list[str]) -> None:
    home = tmp_path / "home"
    lakegate(home, "token", "create")
    open_catalog("lakegate", home).close()
    with locked(home):
        ended = lakegate(home, *command)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Error: LAKEGATE_HOME: {home} is not writable, and SQLite writes there also to read: "
        "make it writable\n"
    )
