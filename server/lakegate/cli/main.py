"""The commands `lakegate up`, `serve`, `sql` and `tables`."""

import gc
import sys
from collections.abc import Coroutine

import click
import duckdb
import uvloop
from typing_extensions import override

from lakegate import gateway
from lakegate.cli import sql
from lakegate.cli.backup import backup_command, restore_command
from lakegate.cli.maintain import maintain
from lakegate.cli.preconditions import check_addresses, check_catalog_exists, check_home
from lakegate.cli.token import token
from lakegate.concurrency.memory import return_large_blocks
from lakegate.errors import LakegateError
from lakegate.gateway import Gate
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.table.listing import describe_all
from lakegate.log import configure_logging
from lakegate.settings import Settings, read_settings

# How long a thread may hold the interpreter lock while the event loop waits for it. With Python's
# default of 5 ms, waiting for it would be most of the latency of a request.
_SWITCH_SECONDS = 0.0005

_BANNER = """\
Lakegate is up.

  REST and gRPC   {gate.url}
  gRPC, direct    {gate.grpc_addr}
  data            {home}
  token           {token}

Send rows, then read them:

  curl -sS {gate.url}/v1/ingest -H 'X-Table: orders' \\
    -H 'Authorization: Bearer {token}' -H 'Content-Type: application/x-ndjson' \\
    --data-binary '{{"_timestamp":"2026-05-02T10:00:00Z","order_id":"o-1","status":"placed"}}'

  curl -sS {gate.url}/ingest/push/queries -H 'X-Ryft-Token: {token}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"context":{{}},"queryId":"q-1","query":"SELECT 1","queryState":"FINISHED",
         "duration_ms":12,"timestamp":"2026-03-10T12:00:00Z"}}'

  {command} sql 'select * from orders'

Ctrl-C stops it.
"""


class _Commands(click.Group):
    """Prints a `LakegateError` or an error of the file system as one line, in any command."""

    @override
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LakegateError as error:
            raise click.ClickException(error.message) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from error


@click.group(cls=_Commands)
@click.version_option(package_name="lakegate")
def main() -> None:
    """Lakegate: rows over REST, NDJSON and gRPC into Apache Iceberg tables."""


main.add_command(token)
main.add_command(maintain)
main.add_command(backup_command)
main.add_command(restore_command)


@main.command()
def up() -> None:
    """Run the server with Envoy in front, until Ctrl-C."""
    settings = read_settings()
    check_addresses(settings, ("http_addr", "grpc_addr"))
    check_home(settings)
    _run(settings, gateway.up(settings, lambda gate: click.echo(_banner(settings, gate))))


@main.command()
def serve() -> None:
    """Run the gRPC server alone, until Ctrl-C."""
    settings = read_settings()
    check_addresses(settings, ("grpc_addr",))
    check_home(settings)
    _run(settings, gateway.serve(settings, lambda address: click.echo(f"gRPC on {address}")))


@main.command("sql")
@click.argument("statement")
def sql_command(statement: str) -> None:
    """Run a SELECT with DuckDB's Iceberg reader."""
    settings = read_settings()
    check_catalog_exists(settings)
    try:
        sql.query(open_catalog(settings.catalog, settings.home), statement).show()
    except duckdb.IOException as error:
        raise click.ClickException(str(error).partition("\n")[0]) from error
    except duckdb.Error as error:
        raise click.ClickException(str(error)) from error


@main.command()
def tables() -> None:
    """List the tables, with their rows, data files and columns."""
    settings = read_settings()
    check_catalog_exists(settings)
    for table in describe_all(open_catalog(settings.catalog, settings.home)):
        columns = ", ".join(column.name for column in table.columns)
        click.echo(f"{table.name}  {table.rows} rows  {table.data_files} files  ({columns})")


def tune_process() -> None:
    """Configure the interpreter and the allocator for a server."""
    return_large_blocks()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()  # imported modules stay: collecting them again takes 60 ms


def _banner(settings: Settings, gate: Gate) -> str:
    return _BANNER.format(
        gate=gate,
        home=settings.home.absolute(),
        token=gate.token or "(yours)",
        command=sys.argv[0],
    )


def _run(settings: Settings, command: Coroutine[None, None, None]) -> None:
    configure_logging(settings.log_level)
    tune_process()
    uvloop.run(command)
