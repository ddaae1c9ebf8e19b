"""Programs in Java for tests: their files from Maven, and processes that end with the test."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import pytest

PROGRAMS = Path(__file__).parents[2] / "engines"  # a folder with a pom.xml each
BUILD = PROGRAMS.parents[1] / "build/engines"
START_SECONDS = 180
STOP_SECONDS = 30


@cache
def java(at_least: int, below: int = 1000) -> str:
    """Find a `java` of such a version; skip the test where there is none."""
    homes = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    if found := shutil.which("java"):
        homes.append(Path(found).resolve().parents[1])
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    for home in homes:
        if at_least <= _version(home / "bin/java") < below:
            return str(home / "bin/java")
    pytest.skip(f"NOT TESTED: there is no JDK from {at_least}, below {below}, on this machine")


def _version(program: Path) -> int:
    if not program.exists():
        return 0
    run = subprocess.run([program, "-version"], capture_output=True, text=True, check=True)
    found = re.search(r'version "(\d+)', run.stderr)
    assert found, run.stderr
    return int(found.group(1))


@cache
def artifacts(name: str) -> list[Path]:
    """Return the files that the `pom.xml` in the folder `name` names; download what is missing."""
    pom, listed = PROGRAMS / name / "pom.xml", BUILD / name / "classpath"
    if not listed.exists() or listed.stat().st_mtime < pom.stat().st_mtime:
        goal = ("dependency:build-classpath", f"-Dmdep.outputFile={listed}")
        subprocess.run(["mvn", "--quiet", "--batch-mode", "--file", pom, *goal], check=True)
    return [Path(path) for path in listed.read_text().strip().split(os.pathsep)]


def classpath(name: str) -> str:
    return os.pathsep.join(map(str, artifacts(name)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run a program until the end of the block, also when it fails."""
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_ready(
    process: "subprocess.Popen[str]", log: Path, is_ready: Callable[[], bool]
) -> None:
    """Wait until the program answers; fail with what it said where it ends or never does."""
    until = time.monotonic() + START_SECONDS
    while not _answers(is_ready):
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"{process.args!r} does not start: {log.read_text()[-4000:]}")
        time.sleep(0.1)


def _answers(is_ready: Callable[[], bool]) -> bool:
    try:
        return is_ready()
    except httpx.TransportError:
        return False
