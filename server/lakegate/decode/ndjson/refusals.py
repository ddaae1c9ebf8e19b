"""Which lines of which bodies are bad, and what their callers are told."""

from dataclasses import dataclass, field
from typing import NamedTuple

from lakegate.decode.ndjson.lines import Lines
from lakegate.decode.text import LISTED_LINES
from lakegate.errors import ErrorCode, LakegateError, Violation


@dataclass
class Refusals:
    """The bad rows of a group, by body."""

    lines: Lines
    _reasons: dict[int, dict[int, "_Reason"]] = field(default_factory=dict)

    def add(self, row: int, text: str, code: ErrorCode = ErrorCode.BAD_REQUEST_BODY) -> None:
        """Add what is wrong with a row; the first reason stays."""
        reasons = self._reasons.setdefault(self.lines.body_of(row), {})
        reasons.setdefault(row, _Reason(text, code))

    def __contains__(self, body: int) -> bool:
        """Return whether a body has a bad line."""
        return body in self._reasons

    def __len__(self) -> int:
        """Return the number of bodies that have a bad line."""
        return len(self._reasons)

    def is_full(self, row: int) -> bool:
        """Return whether the body of a row has so many bad lines that no more are named."""
        return len(self._reasons.get(self.lines.body_of(row), ())) >= LISTED_LINES

    def error(self, body: int) -> LakegateError:
        """Return the error of a body that has a bad line."""
        listed = sorted(self._reasons[body].items())[:LISTED_LINES]
        violations = tuple(
            Violation(f"line {self.lines.number(row)}", reason.text) for row, reason in listed
        )
        first = violations[0]
        _, reason = listed[0]
        return LakegateError(
            reason.code, f"{first.field}: {first.description}", violations=violations
        )


class _Reason(NamedTuple):
    """What is wrong with a row, and the error that its body gets."""

    text: str
    code: ErrorCode
