"""Attempts in doubt: the catalog did not report whether it committed them.

See "When the catalog does not answer" in `docs/exactly-once.md`.
"""

from pyiceberg.table.metadata import TableMetadata


class HistoryExpiredError(Exception):
    """The table no longer shows whether an attempt in doubt was committed."""


class Doubt:
    """The attempts of one commit that are in doubt."""

    def __init__(self) -> None:
        """Start with none."""
        self._sequence_numbers: set[int] = set()

    def __bool__(self) -> bool:
        """Whether any attempt is in doubt."""
        return bool(self._sequence_numbers)

    def add(self, base: TableMetadata) -> None:
        """Add an attempt that was based on `base`."""
        self._sequence_numbers.add(base.next_sequence_number() - 1)

    def check_history(self, metadata: TableMetadata) -> None:
        """Raise `HistoryExpiredError` unless the metadata has every snapshot since the attempts.

        If it has, and the snapshot of the commit is not among them, no attempt was committed yet.
        """
        if not all(_shows_all_since(metadata, number) for number in self._sequence_numbers):
            raise HistoryExpiredError


def _shows_all_since(metadata: TableMetadata, sequence_number: int) -> bool:
    """Return whether the metadata has every snapshot that was committed after `sequence_number`.

    Another engine may have expired some. Every commit takes the next number (Iceberg table spec,
    "Sequence Numbers"; not in version 1).
    """
    numbers = {snapshot.sequence_number for snapshot in metadata.snapshots}
    return metadata.format_version > 1 and numbers.issuperset(
        range(sequence_number + 1, metadata.next_sequence_number())
    )
