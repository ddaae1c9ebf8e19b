"""Variables that look like settings and are none: a misspelled one must not be ignored."""

import difflib
import re
from collections.abc import Iterable, Mapping

PREFIX = "LAKEGATE_"

# The variables of Lakegate's own tests, and those that Kubernetes sets in every container for a
# Service whose name begins with `lakegate`.
_OF_OTHERS = re.compile(
    r"LAKEGATE_((TEST|SIMULATION)_\w+"
    r"|(\w+_)?SERVICE_HOST|(\w+_)?SERVICE_PORT(_\w+)?"
    r"|(\w+_)?PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


def unknown_settings(environment: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return a sentence for each variable `LAKEGATE_…` that is not one of `names`."""
    known = set(names)
    return [
        _sentence(name, known)
        for name in sorted(environment)
        if name.upper().startswith(PREFIX)
        and name.upper() not in known
        and not _OF_OTHERS.fullmatch(name.upper())
    ]


def _sentence(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.75)
    hint = f"did you mean {nearest[0]}?" if nearest else "docs/operations.md lists them all"
    return f"{name} is not a setting: {hint}"
