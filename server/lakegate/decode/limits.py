"""How much the rows of one call may be, and how far they may spread.

Each has few bytes, but takes memory of its own; and those with few fields each may have
many columns together.
"""

from lakegate.model import TooLargeError

# Lines of one call that are not blank. Measured, a row takes 46 bytes on its way as `{}` and 85
# as `{"a":1}`: so these take less than a dense body of 64 MiB, and rows of 16 bytes fill one.
MAX_LINES = 4 * 1024 * 1024

# A line cannot be read in parts, and an item of an array in it takes up to 100 bytes.
MAX_LINE_ITEMS = 8 * 1024 * 1024

# Rows times columns of one call. A cell takes up to 16 bytes on its way, an empty one too:
# so these take what a dense body of 64 MiB takes.
MAX_CELLS = 32 * 1024 * 1024


# JSON texts that the values of one body are written as, names of fields included: a name is
# written once for each row that has no column for it.
MAX_WRITTEN_BYTES = 64 * 1024 * 1024


def check_lines(lines: int) -> None:
    """Raise `TooLargeError` where these are too many."""
    if lines > MAX_LINES:
        raise TooLargeError(f"{lines} lines are more than {MAX_LINES}")


def check_cells(rows: int, columns: int) -> None:
    """Raise `TooLargeError` where rows times columns are too many."""
    if rows * columns > MAX_CELLS:
        raise TooLargeError(f"{rows} rows of {columns} columns are more than {MAX_CELLS} cells")


def check_values(values: int) -> None:
    """Raise `TooLargeError` where values, nested ones included, are more than cells may be."""
    if values > MAX_CELLS:
        raise TooLargeError(f"{values} values are more than {MAX_CELLS}")


def check_written(size: int) -> None:
    """Raise `TooLargeError` where JSON texts are too large."""
    if size > MAX_WRITTEN_BYTES:
        raise TooLargeError(f"Values written as JSON take more than {MAX_WRITTEN_BYTES} bytes")
