"""Every knob: its name, its default and its unit. Read from `LAKEGATE_*`."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from lakegate.concurrency.memory import memory_limit
from lakegate.errors import ErrorCode, LakegateError

MIB = 1024 * 1024


def _address(addr: str) -> str:
    """Check `host:port`; the host is an IP address, in brackets where it is of version 6."""
    host, _, port = addr.rpartition(":")
    if host == "localhost":
        host = "127.0.0.1"
    elif ":" in host and not host.startswith("["):
        raise ValueError(f"{addr!r} is not host:port")
    _ip_of(host)
    if not (port.isdecimal() and int(port) < 2**16):
        raise ValueError(f"{port!r} is no port")
    return f"{host}:{port}"


Address = Annotated[str, AfterValidator(_address)]


def _is_loopback(addr: str) -> bool:
    return _ip_of(addr.rpartition(":")[0]).is_loopback


def _ip_of(host: str) -> IPv4Address | IPv6Address:
    return ip_address(host.removeprefix("[").removesuffix("]"))


def read_settings() -> "Settings":
    """Read the settings from the environment. Raises `LakegateError` (invalid_argument)."""
    try:
        return Settings()
    except ValidationError as error:
        # Not its input: that may be a token.
        faults = (f"{_where(each)}{each['msg']}" for each in error.errors(include_input=False))
        raise LakegateError(ErrorCode.INVALID_ARGUMENT, "; ".join(faults)) from None


def _where(fault: ErrorDetails) -> str:
    return "".join(f"LAKEGATE_{str(name).upper()}: " for name in fault["loc"])


class Settings(BaseSettings):
    """The settings of one process; an environment variable `LAKEGATE_<NAME>` each."""

    model_config = SettingsConfigDict(env_prefix="LAKEGATE_", frozen=True)

    # Where things are
    home: Path = Field(
        default=Path("lakegate-data"),
        description="Embedded catalog, warehouse, ledger and development token.",
    )
    http_addr: Address = Field(
        default="127.0.0.1:8080", description="Where Envoy listens: REST and gRPC, host:port."
    )
    grpc_addr: Address = Field(
        default="127.0.0.1:50051", description="Where the server behind Envoy listens, host:port."
    )
    catalog: str = Field(
        default="lakegate",
        description=(
            "The PyIceberg catalog to use. With PYICEBERG_CATALOG__<NAME>__* set, that one; "
            "without, the embedded catalog under the home."
        ),
    )

    # Who may call
    require_token: bool = Field(
        default=False,
        description="Whether a gate that listens on loopback only needs tokens all the same.",
    )
    tokens: SecretStr = Field(
        default=SecretStr(""),
        description="Tokens, one a line: secret, database, permissions with commas between.",
    )
    tokens_file: Path | None = Field(
        default=None, description="A file of tokens, as above; read again when tokens are."
    )
    token_cache_seconds: float = Field(
        default=5.0, ge=0, description="How long a revoked token may still open, in seconds."
    )

    # TLS
    tls_cert: Path | None = Field(
        default=None,
        description=(
            "The certificate chain that Envoy shows callers, PEM; plain HTTP is then redirected. "
            "Read again when a file is moved to its place."
        ),
    )
    tls_key: Path | None = Field(default=None, description="The key of that certificate, PEM.")
    grpc_tls_ca: Path | None = Field(
        default=None,
        description=(
            "The authority that Envoy and the server know each other by, PEM; with it they speak "
            "mutual TLS, for which the next four must be set. All are read again when they change."
        ),
    )
    grpc_tls_cert: Path | None = Field(
        default=None, description="The server's certificate, for the name `lakegate`, PEM."
    )
    grpc_tls_key: Path | None = Field(default=None, description="The key of that one, PEM.")
    envoy_tls_cert: Path | None = Field(
        default=None, description="The certificate that Envoy shows the server, PEM."
    )
    envoy_tls_key: Path | None = Field(default=None, description="The key of that one, PEM.")

    # What a request may be
    max_body_bytes: int = Field(
        default=64 * MIB, ge=1, description="The largest body after decompression, in bytes."
    )
    max_new_columns: int = Field(
        default=32, ge=0, description="How many columns one request may add; the rest go to props."
    )
    max_table_columns: int = Field(
        default=1000, ge=1, description="How many columns a table may have; the rest go to props."
    )

    max_tables: int = Field(
        default=10_000,
        ge=0,
        description="How many tables of a database rows may make, those there included; 0 is any.",
    )

    # How much may go on at once
    memory_budget_bytes: int = Field(
        default=0,
        ge=0,
        description=(
            "How many bytes bodies may take, half of it while they wait and half while they are "
            "decoded; 0 is a quarter of the container's memory limit, or of the machine's memory."
        ),
    )
    admission_wait_seconds: float = Field(
        default=5.0, ge=0, description="How long a request waits for memory before its 429."
    )
    read_timeout_seconds: float = Field(
        default=300.0, gt=0, description="How long a body may take to arrive, in seconds."
    )
    min_body_bytes_per_second: float = Field(
        default=256.0,
        ge=0,
        description=(
            "A body that arrives at less than this for 30 seconds is refused with 408; "
            "0 is any rate."
        ),
    )
    idle_timeout_seconds: float = Field(
        default=75.0,
        gt=0,
        description=(
            "How long a connection may have no request, in seconds. Make it longer than that of a "
            "load balancer in front."
        ),
    )
    envoy_memory_bytes: int = Field(
        default=0,
        ge=0,
        description=(
            "How much memory Envoy may take before it refuses requests; 0 is a quarter of the "
            "container's memory limit, or of the machine's memory."
        ),
    )
    token_requests_per_second: float = Field(
        default=0.0, ge=0, description="How many requests a token may make; 0 is no limit."
    )
    token_bytes_per_second: float = Field(
        default=0.0, ge=0, description="How many bytes of bodies a token may send; 0 is no limit."
    )

    # How commits happen
    group_max_bytes: int = Field(
        default=128 * MIB, ge=1, description="How many bytes of bodies one commit takes."
    )
    commit_interval_ms: int = Field(
        default=20,
        ge=0,
        description=(
            "The least time between two commits of a busy table, in milliseconds; "
            "an idle table commits at once."
        ),
    )
    commit_attempts: int = Field(
        default=20, ge=1, description="How often a commit that meets a conflict is tried."
    )

    fsync: bool = Field(
        default=True,
        description=(
            "Whether the embedded catalog has files on the disk before a commit names them; "
            "false trusts the machine never to lose its power."
        ),
    )

    # How tables are kept
    snapshots_kept: int = Field(
        default=100,
        ge=1,
        description=(
            "How many snapshots a table keeps, unless its property "
            "history.expire.max-snapshot-age-ms says for how long."
        ),
    )
    snapshots_kept_seconds: float = Field(
        default=60.0,
        ge=0,
        description=(
            "How long each snapshot is kept at least, in seconds, however many there are: "
            "other engines' DELETE, MERGE and OPTIMIZE fail where they take longer than that."
        ),
    )
    maintenance_interval_seconds: float = Field(
        default=60.0,
        ge=0,
        description="How often tables are looked at for small files to merge; 0 is never.",
    )
    compaction_sort_column: str = Field(
        default="at",
        description="What merged files are sorted by, where the table has no sort order.",
    )
    compaction_max_bytes: int = Field(
        default=32 * MIB,
        ge=1,
        description=(
            "The most bytes of files that are merged at once beside ingest; their rows may take "
            "four times as much in memory. `lakegate maintain` merges to the table's target size."
        ),
    )
    orphan_grace_seconds: float = Field(
        default=3600.0,
        ge=60,
        description=(
            "How long a file of Lakegate's must have been seen unreferenced by every snapshot "
            "before it is deleted, in seconds: readers may be at it."
        ),
    )
    foreign_orphan_grace_seconds: float = Field(
        default=259_200.0,
        ge=60,
        description=(
            "The same for files of other engines, which may not have committed them yet: "
            "longer than their longest job."
        ),
    )

    # What is remembered of requests
    ledger_url: str = Field(
        default="",
        description=(
            "The ledger of idempotency keys and streams, as an SQLAlchemy URL of SQLite or "
            "PostgreSQL; servers of the same tables share one. Empty: ledger.db under the home."
        ),
    )
    ledger_ttl_hours: float = Field(
        default=24.0, gt=0, description="How long an idempotency key is known at least, in hours."
    )
    ledger_stream_ttl_hours: float = Field(
        default=720.0,
        gt=0,
        description="How long a stream is known at least after its last batch, in hours.",
    )
    ledger_lease_seconds: float = Field(
        default=15.0,
        ge=0,
        description="How long a retry waits for another server that has its key, in seconds.",
    )

    # How the process ends
    drain_seconds: float = Field(
        default=10.0, ge=0, description="How long requests under way may take after Ctrl-C."
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)
    ] = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    access_log: Literal["refused", "all"] = Field(
        default="refused",
        description=(
            "What Envoy's access log has: the requests that it `refused` itself, or `all`."
        ),
    )

    @property
    def listens_beyond_loopback(self) -> str | None:
        """The address that others than this machine can reach, if there is one."""
        addresses = (self.http_addr, self.grpc_addr)
        return next((addr for addr in addresses if not _is_loopback(addr)), None)

    @property
    def memory_budget(self) -> int:
        """The bytes that bodies may take."""
        return self.memory_budget_bytes or memory_limit() // 4

    @property
    def envoy_memory(self) -> int:
        """The bytes that Envoy may take."""
        return self.envoy_memory_bytes or memory_limit() // 4

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        for together in (
            ("tls_cert", "tls_key"),
            ("grpc_tls_ca", "grpc_tls_cert", "grpc_tls_key", "envoy_tls_cert", "envoy_tls_key"),
        ):
            given = [getattr(self, name) is not None for name in together]
            if any(given) and not all(given):
                names = ", ".join(f"LAKEGATE_{name.upper()}" for name in together)
                raise ValueError(f"these go together: {names}")
        return self

    @property
    def ledger_database(self) -> str:
        """The SQLAlchemy URL of the ledger."""
        if self.ledger_url:
            return self.ledger_url
        embedded = URL.create("sqlite", database=str((self.home / "ledger.db").absolute()))
        return embedded.render_as_string()

    @property
    def warehouse(self) -> Path:
        """Where the embedded catalog keeps the files of tables."""
        return self.home / "warehouse"
