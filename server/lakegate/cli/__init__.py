"""The command `lakegate`."""

import os

# Arrow's allocator, mimalloc, returns freed memory to the system later, and only when the same
# thread allocates again: a body of 64 MiB left 500 MiB with an idle thread. It reads this when
# Arrow is loaded.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")
