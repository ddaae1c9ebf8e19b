"""Become another program that the kernel kills when the parent dies, however it dies.

`python -m lakegate.edge.die_with_parent PARENT_PID PROGRAM ARGUMENT…`, on Linux; elsewhere
the program just runs. The work is done here, in a process of one thread, because it
is not safe between fork and exec of a process that has many.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Tie this process to its parent, then become the program."""
    parent, program, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):  # it died before the tie held
            sys.exit(1)
    os.execv(program, [program, *arguments])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
