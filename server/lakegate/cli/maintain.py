"""The command `lakegate maintain`: compaction, expiry and the sweep, once."""

import sys

import click

from lakegate.cli.preconditions import check_catalog_exists
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.failures import CATALOG_FAILURES
from lakegate.lake.maintenance.maintain import Maintenance, Progress, Summary
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.settings import read_settings

_STEPS = {"compact": "merging small files", "sweep": "deleting orphan files"}
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@click.command()
def maintain() -> None:
    """Merge small files, expire snapshots and delete orphan files of all managed tables."""
    settings = read_settings()
    check_catalog_exists(settings)
    bars = _Bars()
    try:
        with open_catalog(settings.catalog, settings.home) as catalog:
            summary = Maintenance(catalog, MaintenancePolicy.of(settings), bars.show).run()
    except (OSError, *CATALOG_FAILURES) as error:
        raise click.ClickException(str(error).partition("\n")[0]) from error
    for line in _lines(summary):
        click.echo(line)
    if summary.failed:
        raise click.ClickException(f"the maintenance of {summary.failed} tables failed, see above")


class _Bars:
    """A progress bar for each step at each table, on standard error."""

    def show(self, progress: Progress) -> None:
        """Start a bar at the first report of a step, and update it at the others."""
        if progress.done == 0:
            label = f"{progress.table}: {_STEPS[progress.step]}"
            self._bar = click.progressbar(length=progress.total, label=label, file=sys.stderr)
            self._bar.render_progress()
        if progress.done > self._bar.pos:
            self._bar.update(progress.done - self._bar.pos)
        if progress.done == progress.total:
            self._bar.render_finish()


def _lines(summary: Summary) -> list[str]:
    merged = f"{summary.files_merged:,} ({_size(summary.bytes_merged)})"
    written = f"{summary.files_written:,} ({_size(summary.bytes_written)})"
    return [
        f"Tables maintained    {summary.tables:,}",
        f"Files merged         {merged} into {written}",
        f"Snapshots expired    {summary.snapshots_expired:,}",
        f"Orphans deleted      {summary.orphans_deleted:,} ({_size(summary.orphan_bytes)})",
        f"Orphans left for now {summary.orphans_waiting:,}",
    ]


def _size(size: int) -> str:
    magnitude = min(max(size.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{size / 1024**magnitude:,.{min(magnitude, 1)}f} {_UNITS[magnitude]}"
