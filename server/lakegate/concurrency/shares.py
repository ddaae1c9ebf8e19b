"""How much of a budget each group of its users may reserve.

The shares are dynamic thresholds (Choudhury and Hahne, 1998): a group may reserve as much as is
free, or a multiple of that. A group alone gets its largest share, several groups share evenly,
and something stays free for the next group.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

# Who reserves, as nested groups, the outermost first: database, token, table.
Owner: TypeAlias = tuple[str, ...]


@dataclass(slots=True)
class Share:
    """What one group has reserved, in bytes.

    An innermost group has the `weight` 1, the group around it 2, then 4: so one table leaves
    memory for other tables of its token, and one token for other tokens of its database.
    `reservations` counts those that are not empty. `announced` is what its reservations may
    grow to. `waiting` is held by reservations that wait to grow.
    """

    weight: int
    reserved: int = 0
    announced: int = 0
    reservations: int = 0
    waiting: int = 0

    def allows(self, more: int, free: int) -> bool:
        """Whether the group may reserve `more` of the `free` bytes."""
        return self.reserved + more <= self.weight * (free - more)

    def allows_announced(self, more: int, size: int) -> bool:
        """Whether `more` announced bytes fit into the largest share of a budget of `size` bytes."""
        largest = size * self.weight // (self.weight + 1)
        return not self.announced or self.announced + more <= largest

    @property
    def is_stuck(self) -> bool:
        """Whether all that the group holds waits to grow, so that nothing will be released."""
        return self.reserved == self.waiting


class Shares:
    """The shares of all groups that have reserved something."""

    def __init__(self) -> None:
        """Start without reservations."""
        self._shares: dict[Owner, Share] = {}

    def of(self, owner: Owner) -> list[Share]:
        """Return the shares of the groups that `owner` is in, the outermost first."""
        shares = self._shares
        return [shares.get(group) or Share(weight) for group, weight in _groups(owner)]

    def reserved(self, owner: Owner) -> list[int]:
        """Return what each group of `owner` has reserved, the outermost first."""
        return [share.reserved for share in self.of(owner)]

    def add(self, owner: Owner, reserved: int, announced: int, reservations: int) -> None:
        """Add to what the groups of `owner` have; the numbers may be negative."""
        for group, weight in _groups(owner):
            share = self._shares.get(group)
            if share is None:
                share = self._shares[group] = Share(weight)
            share.reserved += reserved
            share.announced += announced
            share.reservations += reservations
            if not (share.reserved or share.announced):
                del self._shares[group]

    def add_waiting(self, owner: Owner, size: int) -> None:
        """Add to what of the groups of `owner` waits to grow; the number may be negative."""
        for group, _ in _groups(owner):
            self._shares[group].waiting += size


@lru_cache(maxsize=10_000)
def _groups(owner: Owner) -> tuple[tuple[Owner, int], ...]:
    """Return the groups that `owner` is in, the outermost first, with their weights."""
    size = len(owner)
    return tuple((owner[:depth], 1 << (size - depth)) for depth in range(1, size + 1))
