"""Senders of batches: keyed, in streams, or unkeyed. They time out and retry."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

from tests.simulation.model import Model, Sent
from tests.simulation.servers import GoneError, Server
from tests.simulation.world import World
from tests.testing.lines import lines

from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Acknowledgement, Batch, Body, StreamPosition, TableName

COLUMNS = ("c0", "c1", "c2")
RETRIES = 6
IN_FLIGHT = 3


def is_in_doubt(error: LakegateError) -> bool:
    """Whether a refusal leaves the outcome unknown."""
    return error.code is ErrorCode.OUTCOME_UNKNOWN


@dataclass
class Sender:
    """Sends batches to a table, each through a random server."""

    world: World
    model: Model
    servers: list[Server]
    name: str
    table: TableName
    batches: int
    kind: str
    sent: int = 0
    streams: int = 0
    last: dict[str, Sent] = field(default_factory=dict)

    async def run(self) -> None:
        if self.kind == "stream":
            await self._stream()
            return
        for _ in range(self.batches):
            await self._pause(3.0)
            sent = self._new()
            if self.kind == "keyed":
                sent.key = str(sent)
            await self._send_until_known(sent)

    async def _send_until_known(self, sent: Sent) -> None:
        for _ in range(RETRIES):
            answer = await self._send(sent)
            retried = isinstance(answer, LakegateError) and not is_in_doubt(answer)
            if isinstance(answer, Acknowledgement):
                if not sent.is_keyed or not self.world.happens(0.2):
                    return
            elif not retried and not sent.is_keyed:
                return  # it may be committed: a retry could commit it twice
            await self._pause(10.0)

    async def _send(self, sent: Sent) -> Acknowledgement | LakegateError | None:
        """Send once, and report the answer to the model."""
        server = self.world.chance.choice(self.servers)
        batch = Batch(
            self.table,
            Body(lines(*map(dict, sent.rows.values()))),
            server.decoder,
            idempotency_key=sent.key,
            position=sent.position,
        )
        self.model.sending(sent)
        asked_at = self.world.loop.now
        patience = self.world.chance.choice([0.01, 0.1, 1.0, 60.0, 1000.0, 1000.0, 1000.0])
        self.world.say(f"{self.name} sends {sent} to {server.name}")
        try:
            async with asyncio.timeout(patience):
                answer = await server.append(batch)
        except LakegateError as error:
            self.world.say(f"{sent}: {error.code.value.name}, {error.message}")
            if is_in_doubt(error):
                self.model.doubted(sent)
            else:
                self.model.refused(sent, error.code.value.name)
            return error
        except (GoneError, TimeoutError) as error:
            self.world.say(f"{sent}: {type(error).__name__}")
            self.model.doubted(sent)
            return None
        self.world.say(f"{sent}: {answer}")
        self.model.acknowledged(sent, answer, asked_at)
        return answer

    async def _stream(self) -> None:
        """Send a stream, some of its batches at a time, and continue at the server's offset."""
        stream_id, waiting, expected = self._new_stream()
        for _ in range(4 * self.batches):
            while len(waiting) < IN_FLIGHT and self.sent < self.batches:
                sent = self._new()
                offset = expected + len(waiting)
                sent.position = StreamPosition(stream_id, offset)
                waiting.append(sent)
            if not waiting:
                return
            await self._pause(3.0)
            await asyncio.gather(*(self._send_in_turn(n, s) for n, s in enumerate(waiting)))
            there = await self._asked(stream_id)
            if there is None:
                continue
            if there < expected:  # the table was replaced: the stream starts again
                stream_id, waiting, expected = self._new_stream()
                continue
            for sent in waiting[: there - expected]:
                self.model.applied(sent)
            waiting, expected = waiting[there - expected :], there

    def _new_stream(self) -> tuple[str, list[Sent], int]:
        self.streams += 1
        return f"{self.name}-{self.streams}", [], 0

    async def _send_in_turn(self, number: int, sent: Sent) -> None:
        await asyncio.sleep(number * 0.001)
        await self._send(sent)

    async def _asked(self, stream_id: str) -> int | None:
        server = self.world.chance.choice(self.servers)
        return await _or_none(server.next_offset(self.table, stream_id))

    def _new(self) -> Sent:
        """Return a batch of unique rows."""
        self.sent += 1
        chance = self.world.chance
        rows = {}
        for number in range(chance.choice([1, 1, 2])):
            label = f"{self.name}.{self.sent}.{number}"
            extra = chance.choice([*COLUMNS, None, None])
            rows[label] = {"label": label, **({extra: f"{extra} of {label}"} if extra else {})}
        return Sent(rows)

    async def _pause(self, most: float) -> None:
        await asyncio.sleep(self.world.chance.choice([0.0, 0.001, 0.1, 1.0]) * most)


async def _or_none(answer: Awaitable[int]) -> int | None:
    try:
        async with asyncio.timeout(60):
            return await answer
    except (LakegateError, GoneError, TimeoutError):
        return None
