"""What decoders of tests have in common."""

from collections.abc import Sequence

from lakegate.model import Body, MemoryEstimate


class StubDecoder:
    """A decoder of some format, whose bodies take as much memory as they have bytes."""

    media_types: Sequence[str] = ()
    field: str | None = None

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        del columns
        return MemoryEstimate(sum(len(body.data) for body in bodies), 0)
