"""Hints for bodies that were sent by mistake: with a wrong header, or changed by the sender."""

import re

_HEAD_BYTES = 4096

_SIGNATURES = (
    (b"\x1f\x8b", "the body is gzip: add the header Content-Encoding: gzip"),
    (b"\x28\xb5\x2f\xfd", "the body is zstd: add the header Content-Encoding: zstd"),
    (b"PAR1", "the body is Parquet: send it as Content-Type: application/vnd.apache.parquet"),
    (b"ARROW1", "the body is an Arrow file: send an Arrow stream (docs/formats-and-types.md)"),
    (
        b"\xff\xff\xff\xff",
        "the body is an Arrow stream: send it as Content-Type: application/vnd.apache.arrow.stream",
    ),
    (b"@", "the body is the name of a file: curl reads it with --data-binary @FILE"),
)
_JOINED = re.compile(rb"\}\s*\{")
# A first line of names between commas or semicolons, as of CSV.
_CSV = re.compile(rb'[\w ."-]+([,;\t][\w ."-]*)+\r?(\n|$)')


class Head:
    """The beginning of a body, kept for the hint of its refusal."""

    def __init__(self, data: bytes) -> None:
        """Copy the beginning of `data`."""
        self._head = data[:_HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")

    def hint(self, content_type: str) -> str:
        """Return what is probably wrong with a refused body, or nothing."""
        for signature, hint in _SIGNATURES:
            if self._head.startswith(signature):
                return hint
        return self._hint_of_lines() if "csv" not in content_type else ""

    def _hint_of_lines(self) -> str:
        first = self._head.partition(b"\n")[0].rstrip()
        if first.startswith(b"["):
            return "the body is a JSON array: send it as Content-Type: application/json"
        if first in {b"{", b""}:
            return "an object must be on one line: jq -c . writes it so"
        if first.startswith(b"{") and _JOINED.search(first):
            return "two objects are on one line: curl keeps line ends with --data-binary, not -d"
        if _CSV.match(self._head):
            return "if the body is CSV, send it as Content-Type: text/csv"
        return ""
