"""The commands `lakegate backup` and `lakegate restore`, for the embedded catalog."""

from pathlib import Path

import click
from pyiceberg.catalog import WAREHOUSE_LOCATION
from pyiceberg.utils.config import Config

from lakegate.errors import ErrorCode, LakegateError
from lakegate.home import CATALOG
from lakegate.lake.backup.restore import restore
from lakegate.lake.backup.save import save
from lakegate.lake.catalog.embedded import local_path
from lakegate.lake.catalog.open import open_catalog
from lakegate.settings import Settings, read_settings

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("backup")
@click.argument("folder", type=_FOLDER)
def backup_command(folder: Path) -> None:
    """Back up the home in a new FOLDER. The gate may be running."""
    settings = _embedded(read_settings())
    try:
        saved = save(_home(settings), folder.absolute())
    except OSError as error:
        raise click.ClickException(f"The backup failed: {error}") from error
    click.echo(f"{saved.tables:,} tables and {saved.files:,} files are saved in {folder}.")
    if saved.outside:
        click.echo(f"{saved.outside:,} files outside the warehouse are not.", err=True)


@click.command("restore")
@click.argument("folder", type=_FOLDER)
def restore_command(folder: Path) -> None:
    """Restore the backup in FOLDER to LAKEGATE_HOME, which must be new or empty."""
    settings = _embedded(read_settings())
    try:
        tables = restore(folder.absolute(), settings.home.absolute())
    except OSError as error:
        raise click.ClickException(f"The restore failed: {error}") from error
    click.echo(f"{tables:,} tables are restored in {settings.home}.")


def _home(settings: Settings) -> Path:
    """Return the home as its tables name it. Raises `LakegateError` for one that was moved."""
    if not (settings.home / CATALOG).exists():
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, f"There is no catalog in the home {settings.home}."
        )
    with open_catalog(settings.catalog, settings.home) as catalog:
        return local_path(catalog.properties[WAREHOUSE_LOCATION]).parent


def _embedded(settings: Settings) -> Settings:
    """Return the settings of a gate whose catalog and ledger are in its home."""
    if settings.ledger_url or Config().get_catalog_config(settings.catalog):
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            "The catalog or the ledger of this gate is not in its home: back up their databases, "
            'as described in docs/operations.md, "Backup"',
        )
    return settings
