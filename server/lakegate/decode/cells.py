"""How much rows may spread: those with few fields each may have many columns together."""

from lakegate.errors import ErrorCode, LakegateError

# Rows times columns of one call. A cell takes up to 16 bytes on its way, an empty one too:
# so these take what a dense body of 64 MiB takes.
MAX_CELLS = 32 * 1024 * 1024


class TooManyCellsError(Exception):
    """Rows times columns is too much."""

    def __init__(self, rows: int, columns: int) -> None:
        """Say how many of each."""
        super().__init__(f"{rows} rows of {columns} columns are more than {MAX_CELLS} cells")

    def refusal(self) -> LakegateError:
        """Tell the sender what to do."""
        return LakegateError(
            ErrorCode.BODY_TOO_LARGE, f"{self}: split the body into smaller batches"
        )


def check_cells(rows: int, columns: int) -> None:
    """Raise `TooManyCellsError` where it is so."""
    if rows * columns > MAX_CELLS:
        raise TooManyCellsError(rows, columns)
