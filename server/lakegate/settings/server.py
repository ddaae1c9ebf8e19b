"""Settings of the server and of Envoy: addresses, access, TLS, limits of requests."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, model_validator

from lakegate.settings.addresses import Address
from lakegate.settings.units import MIB


class ServerSettings(BaseModel):
    """Where the server and Envoy listen, who may call, what a request may be, and when it ends."""

    # Addresses, home and catalog
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

    # Access
    require_token: bool = Field(
        default=False,
        description="Whether calls need a token also while the gate listens on loopback only.",
    )
    tokens: SecretStr = Field(
        default=SecretStr(""),
        description="Tokens, one a line: secret, database, comma-separated permissions.",
    )
    tokens_file: Path | None = Field(
        default=None,
        description="A file with such lines; read again every few seconds.",
    )
    token_cache_seconds: float = Field(
        default=5.0, ge=0, description="How long a revoked token may still be accepted, in seconds."
    )

    # TLS
    tls_cert: Path | None = Field(
        default=None,
        description=(
            "Envoy's certificate chain for callers, PEM; plain HTTP is then redirected. "
            "Read again when a file is moved to its place."
        ),
    )
    tls_key: Path | None = Field(default=None, description="Its key, PEM.")
    grpc_tls_ca: Path | None = Field(
        default=None,
        description=(
            "The certificate authority of Envoy and the server, PEM; with it they use mutual TLS, "
            "for which the next four must be set. All are read again when they change."
        ),
    )
    grpc_tls_cert: Path | None = Field(
        default=None, description="The server's certificate, for the name `lakegate`, PEM."
    )
    grpc_tls_key: Path | None = Field(default=None, description="Its key, PEM.")
    envoy_tls_cert: Path | None = Field(
        default=None, description="Envoy's certificate for the server, PEM."
    )
    envoy_tls_key: Path | None = Field(default=None, description="Its key, PEM.")

    # Limits of requests
    max_body_bytes: int = Field(
        default=64 * MIB, ge=1, description="The largest body after decompression, in bytes."
    )
    max_new_columns: int = Field(
        default=32,
        ge=0,
        description="How many columns a request may add; other fields go to props.",
    )
    max_table_columns: int = Field(
        default=1000,
        ge=1,
        description=(
            "How many columns a table may have: other fields of rows go to props, and EnsureTable "
            "is refused."
        ),
    )

    max_tables: int = Field(
        default=10_000,
        ge=0,
        description="Rows create no more tables in a database that has so many; 0 is no limit.",
    )

    # Limits of memory and rates
    memory_budget_bytes: int = Field(
        default=0,
        ge=0,
        description=(
            "The memory budget of bodies in bytes, half for bodies that wait and half for bodies "
            "that are decoded; 0 is a quarter of the container's memory limit, or of the "
            "machine's memory."
        ),
    )
    admission_wait_seconds: float = Field(
        default=5.0,
        ge=0,
        description="How long a request waits for memory before a 429, in seconds.",
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
            "How much memory Envoy may use before it refuses requests, in bytes; 0 is a quarter of "
            "the container's memory limit, or of the machine's memory."
        ),
    )
    token_requests_per_second: float = Field(
        default=0.0, ge=0, description="How many requests a token may send a second; 0 is no limit."
    )
    token_bytes_per_second: float = Field(
        default=0.0,
        ge=0,
        description="How many bytes a token may send a second; 0 is no limit.",
    )

    # Shutdown and log
    drain_seconds: float = Field(
        default=10.0,
        ge=0,
        description="How long running requests may take after SIGTERM, in seconds.",
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

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        for together in (
            ("tls_cert", "tls_key"),
            ("grpc_tls_ca", "grpc_tls_cert", "grpc_tls_key", "envoy_tls_cert", "envoy_tls_key"),
        ):
            given = [getattr(self, name) is not None for name in together]
            if any(given) and not all(given):
                names = ", ".join(f"LAKEGATE_{name.upper()}" for name in together)
                raise ValueError(f"these must be set together: {names}")
        return self
