"""The settings: their names, defaults and units, read from the variables `LAKEGATE_*`."""

import os
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from lakegate.concurrency.memory import memory_limit
from lakegate.errors import ErrorCode, LakegateError
from lakegate.home import LEDGER
from lakegate.settings.addresses import is_loopback
from lakegate.settings.lake import LakeSettings
from lakegate.settings.server import ServerSettings
from lakegate.settings.unknown import PREFIX, unknown_settings


class Settings(LakeSettings, ServerSettings, BaseSettings):
    """The settings of one process; one environment variable `LAKEGATE_<NAME>` for each."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

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
        embedded = URL.create("sqlite", database=str((self.home / LEDGER).absolute()))
        return embedded.render_as_string()

    @property
    def warehouse(self) -> Path:
        """The warehouse of the embedded catalog."""
        return self.home / "warehouse"


def read_settings() -> Settings:
    """Read the settings from the environment. Raises `LakegateError` (invalid_argument)."""
    unknown = unknown_settings(os.environ, map(_variable, Settings.model_fields))
    if unknown:
        raise LakegateError(ErrorCode.INVALID_ARGUMENT, "; ".join(unknown))
    try:
        return Settings()
    except ValidationError as error:
        # Without the values, which may be tokens.
        faults = map(_sentence, error.errors(include_input=False))
        raise LakegateError(ErrorCode.INVALID_ARGUMENT, "; ".join(faults)) from None


def _sentence(fault: ErrorDetails) -> str:
    where = "".join(f"{_variable(str(name))}: " for name in fault["loc"])
    return f"{where}{fault['msg'].removeprefix('Value error, ')}"


def _variable(name: str) -> str:
    """Return the name of the environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"
