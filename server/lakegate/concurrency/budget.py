"""A budget of bytes that all bodies share: they wait for memory first, then are refused."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lakegate.concurrency.shares import Owner, Share, Shares
from lakegate.errors import ErrorCode, LakegateError

RETRY_AFTER_SECONDS = 1.0
# The largest of the small reservations, as a part of what is set aside for them.
_SMALL_PART = 16


@dataclass(eq=False, slots=True)
class Reservation:
    """A part of a budget: `size` bytes now, and `announced` bytes later, if they are more."""

    budget: "Budget"
    owner: Owner
    number: int
    size: int = 0
    announced: int = 0
    is_spare: bool = False  # of what is set aside for small ones

    async def grow(self, size: int, patience: float | None = None) -> None:
        """Reserve at least `size` bytes; wait for them up to `patience` seconds.

        Raises `LakegateError` (overloaded).
        """
        if size > self.size:
            await self.budget.extend(self, size - self.size, patience)

    def shrink(self, size: int) -> None:
        """Release what is reserved or announced beyond `size` bytes."""
        self.budget.shrink(self, size)

    def release(self) -> None:
        """Release everything."""
        self.shrink(0)


@dataclass(eq=False, slots=True)
class _Request:
    """A reservation that waits for `more` bytes."""

    reservation: Reservation
    more: int
    announced: int
    granted: "asyncio.Future[None]"

    def refuse(self) -> None:
        if not self.granted.done():
            self.granted.set_exception(overloaded())


class Budget:
    """Bytes for many owners. Used from one event loop.

    A reservation grows while its body arrives. What a body announces is reserved for nobody: it
    counts only against its own owner, whose further bodies do not begin before it fits.

    Growing comes before beginning, and of those that grow the oldest comes first. Where all that
    a group holds waits to grow, its youngest reservation is refused, until the oldest can be
    completed: a reservation that is alone in its group may have whatever is free. Those that
    begin take turns: next is the group that has the least.

    Bodies of many owners that stop halfway would hold everything. So a part may be set aside for
    small reservations that announce all they need: they do not wait for the others to end.
    """

    def __init__(self, size: int, spare: int = 0) -> None:
        """Distribute `size` bytes, of which `spare` are set aside for small reservations.

        A reservation may be larger than the rest; it is alone there then.
        """
        self.size = size
        self.used = 0
        self._spare = spare
        self._spare_used = 0
        self._shares = Shares()
        self._made = 0
        self._beginning: OrderedDict[Owner, deque[_Request]] = OrderedDict()
        self._growing: list[_Request] = []

    @property
    def waiting(self) -> int:
        """How many reservations wait."""
        return len(self._growing) + sum(map(len, self._beginning.values()))

    async def reserve(
        self, owner: Owner, size: int, patience: float | None = None, announced: int = 0
    ) -> Reservation:
        """Reserve `size` bytes for `owner` until they are released.

        Waits up to `patience` seconds for them. Raises `LakegateError` (overloaded).
        """
        self._made += 1
        reservation = Reservation(self, owner, self._made)
        try:
            await self.extend(reservation, size, patience, announced)
        except BaseException:
            reservation.release()  # a cancelled wait may have been granted
            raise
        return reservation

    @asynccontextmanager
    async def reserving(
        self, owner: Owner, size: int, patience: float | None = None, announced: int = 0
    ) -> AsyncIterator[Reservation]:
        """Reserve `size` bytes inside, as `reserve` does."""
        reservation = await self.reserve(owner, size, patience, announced)
        try:
            yield reservation
        finally:
            reservation.release()

    async def extend(
        self,
        reservation: Reservation,
        more: int,
        patience: float | None = None,
        announced: int = 0,
    ) -> None:
        """Reserve `more` bytes; see `Reservation.grow`."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        request = _Request(reservation, more, announced, granted)
        self._enqueue(request)
        self._serve()
        if granted.done():
            granted.result()
            return
        try:
            async with asyncio.timeout(patience):
                await granted
        except TimeoutError:
            raise overloaded() from None
        finally:
            self._forget(request)

    def shrink(self, reservation: Reservation, size: int) -> None:
        """Release what is beyond `size` bytes."""
        if size < max(reservation.size, reservation.announced):
            self._resize(reservation, min(reservation.size, size), min(reservation.announced, size))
            self._serve()

    def _resize(self, reservation: Reservation, size: int, announced: int) -> None:
        announced = max(size, announced)
        self.used += size - reservation.size
        if reservation.is_spare:
            self._spare_used += size - reservation.size
        self._shares.add(
            reservation.owner,
            size - reservation.size,
            announced - reservation.announced,
            (size > 0) - (reservation.size > 0),
        )
        reservation.size, reservation.announced = size, announced

    def _enqueue(self, request: _Request) -> None:
        reservation = request.reservation
        if reservation.size:
            self._growing.append(request)
            self._growing.sort(key=lambda each: each.reservation.number)
            self._shares.add_waiting(reservation.owner, reservation.size)
        else:
            self._beginning.setdefault(reservation.owner, deque()).append(request)

    def _end_growing(self, request: _Request) -> None:
        self._growing.remove(request)
        self._shares.add_waiting(request.reservation.owner, -request.reservation.size)

    def _forget(self, request: _Request) -> None:
        """Drop a request that is no longer waited for, if it is still in a queue."""
        owner = request.reservation.owner
        if request in self._growing:
            self._end_growing(request)
        elif request in (queue := self._beginning.get(owner, deque())):
            queue.remove(request)
            if not queue:
                del self._beginning[owner]
        else:
            return
        self._serve()

    def _serve(self) -> None:
        """Grant what there is memory for."""
        if self._growing:
            self._serve_growing()
        # What is released next is for those that grow, where there are some.
        if self._beginning and all(self._blocking(each) is not None for each in self._growing):
            while (owner := self._next_owner()) is not None:
                self._grant(self._pop_next(owner))
        if self._beginning and self._spare:
            while (owner := self._next_small_owner()) is not None:
                self._grant(self._pop_next(owner), is_spare=True)

    def _pop_next(self, owner: Owner) -> _Request:
        """Remove and return the next request of an owner, whose others are then behind all."""
        queue = self._beginning.pop(owner)
        request = queue.popleft()
        if queue:
            self._beginning[owner] = queue
        return request

    def _serve_growing(self) -> None:
        for request in list(self._growing):
            if self._blocking(request) is None and self._fits(request):
                self._end_growing(request)
                self._grant(request)
        self._refuse_one_that_is_stuck()

    def _grant(self, request: _Request, *, is_spare: bool = False) -> None:
        reservation = request.reservation
        if not request.granted.done():
            if reservation.is_spare:
                self._spare_used -= reservation.size
            reservation.is_spare = is_spare
            announced = max(reservation.announced, request.announced)
            self._resize(reservation, reservation.size + request.more, announced)
            request.granted.set_result(None)

    def _refuse_one_that_is_stuck(self) -> None:
        for request in self._growing:
            group = self._blocking(request)
            if group is not None and group.is_stuck:
                self._refuse_youngest(group)
                return
        if (
            self._growing
            and sum(each.reservation.size for each in self._growing) == self._main_used
        ):
            self._refuse_youngest(None)

    def _refuse_youngest(self, group: Share | None) -> None:
        """Refuse the youngest reservation of a group that waits to grow; None: of all."""
        for request in reversed(self._growing):
            if group is None or any(
                group is each for each in self._shares.of(request.reservation.owner)
            ):
                self._end_growing(request)
                request.refuse()
                return

    def _blocking(self, request: _Request) -> Share | None:
        """Return the group that has too much for the reservation to grow, if there is one."""
        free = self.size - self.used
        for share in self._shares.of(request.reservation.owner):
            if share.reservations > 1 and not share.allows(request.more, free):
                return share
        return None

    def _next_owner(self) -> Owner | None:
        """Return the owner whose turn it is, if there is memory for what it asks for."""
        for owner in sorted(self._beginning, key=self._shares.reserved):
            request = self._beginning[owner][0]
            if self._may_begin(request):
                # The next in turn is not overtaken while it waits for others to end.
                return owner if self._fits(request) else None
        return None

    def _next_small_owner(self) -> Owner | None:
        """Return the owner whose turn it is to get some of what is set aside."""
        for owner in sorted(self._beginning, key=self._shares.reserved):
            request = self._beginning[owner][0]
            is_small = request.announced == request.more <= self._spare // _SMALL_PART
            fits = self._spare_used + request.more <= self._spare
            if is_small and fits and self._may_begin(request):
                return owner
        return None

    def _may_begin(self, request: _Request) -> bool:
        free = self.size - self.used
        outermost, *inner = self._shares.of(request.reservation.owner)
        announced = max(request.more, request.announced)
        return all(
            not share.reserved or share.allows(request.more, free) for share in (outermost, *inner)
        ) and all(share.allows_announced(announced, self.size) for share in inner)

    def _fits(self, request: _Request) -> bool:
        reservation = request.reservation
        others = self._main_used - (0 if reservation.is_spare else reservation.size)
        return not others or others + reservation.size + request.more <= self.size - self._spare

    @property
    def _main_used(self) -> int:
        """The bytes that are reserved of what is not set aside."""
        return self.used - self._spare_used


def overloaded() -> LakegateError:
    """Return the refusal of what there is no memory for."""
    return LakegateError(
        ErrorCode.OVERLOADED,
        "the server has too much to do, and nothing was written: try again",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
