"""What the process keeps of the memory that bodies have taken."""

import ctypes
import sys

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_LARGE_BYTES = 256 * 1024


def return_large_blocks() -> None:
    """Have large blocks given back to the system when they are freed (glibc only).

    Left alone, glibc learns from the first bodies to keep their memory for the next.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
