"""The settings: their names, defaults and units, read from the variables `LAKEGATE_*`."""

from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from lakegate.concurrency.memory import memory_limit
from lakegate.errors import ErrorCode, LakegateError
from lakegate.settings.addresses import is_loopback
from lakegate.settings.lake import LakeSettings
from lakegate.settings.server import ServerSettings


class Settings(LakeSettings, ServerSettings, BaseSettings):
    """The settings of one process; one environment variable `LAKEGATE_<NAME>` for each."""

    model_config = SettingsConfigDict(env_prefix="LAKEGATE_", frozen=True)

    @property
    def listens_beyond_loopback(self) -> str | None:
        """The address that other machines can reach, if there is one."""
        addresses = (self.http_addr, self.grpc_addr)
        return next((addr for addr in addresses if not is_loopback(addr)), None)

    @property
    def memory_budget(self) -> int:
        """The memory budget of bodies, in bytes."""
        return self.memory_budget_bytes or memory_limit() // 4

    @property
    def envoy_memory(self) -> int:
        """The memory limit of Envoy, in bytes."""
        return self.envoy_memory_bytes or memory_limit() // 4

    @property
    def ledger_database(self) -> str:
        """The SQLAlchemy URL of the ledger."""
        if self.ledger_url:
            return self.ledger_url
        embedded = URL.create("sqlite", database=str((self.home / "ledger.db").absolute()))
        return embedded.render_as_string()

    @property
    def warehouse(self) -> Path:
        """The warehouse of the embedded catalog."""
        return self.home / "warehouse"


def read_settings() -> Settings:
    """Read the settings from the environment. Raises `LakegateError` (invalid_argument)."""
    try:
        return Settings()
    except ValidationError as error:
        # Without the values, which may be tokens.
        faults = (f"{_where(each)}{each['msg']}" for each in error.errors(include_input=False))
        raise LakegateError(ErrorCode.INVALID_ARGUMENT, "; ".join(faults)) from None


def _where(fault: ErrorDetails) -> str:
    return "".join(f"LAKEGATE_{str(name).upper()}: " for name in fault["loc"])
