"""The protocol of `docs/exactly-once.md` as a model: what a state is, and which must never occur.

Its steps are in `tests.testing.protocol_steps`.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

Keys = frozenset[str]


@dataclass(frozen=True)
class Rules:
    """The rules of the protocol. A model without one of them must fail."""

    claim_after_base: bool = True
    displaced_are_checked: bool = True
    displaced_are_all_kept: bool = True
    claims_are_renewed: bool = True
    own_commit_is_checked: bool = True
    commits_are_guarded: bool = True
    pending_commits_are_kept: bool = True


@dataclass(frozen=True)
class Bounds:
    """The limits of the exploration: how often something may happen, all servers together."""

    servers: int = 2
    groups: tuple[Keys, ...] = (frozenset("a"),)
    claims: int = 3
    crashes: int = 1
    sends: int = 4
    retentions: int = 1


@dataclass(frozen=True)
class Row:
    """An entry of the ledger; `claimants` are commit ids, the newest last."""

    claimants: tuple[int, ...]
    applied: bool = False


@dataclass(frozen=True)
class Base:
    """The table as a server or retention has read it."""

    version: int
    visible: frozenset[int]


class At(Enum):
    """The progress of a server."""

    IDLE = auto()
    ARRIVED = auto()  # a group has arrived
    LOOKED_UP = auto()  # the ledger was read
    ADMITTED = auto()  # the snapshots were searched for pending entries
    BASED = auto()  # the base of the commit is read
    CLAIMED = auto()  # the claims were made before the base is read: forbidden by a rule
    ACQUIRED = auto()  # the claims are made, on that base
    SENT = auto()  # the commit was sent
    CONFLICT = auto()  # it failed, or its outcome is unknown
    REBASED = auto()  # the base is read again
    COMMITTED = auto()
    ANSWERED = auto()  # not settled yet


@dataclass(frozen=True)
class Server:
    """One server with at most one group in progress."""

    at: At = At.IDLE
    keys: Keys = frozenset()
    seen: tuple[tuple[str, Row | None], ...] = ()
    base: Base | None = None
    commit_id: int = -1
    displaced: frozenset[int] = frozenset()

    @property
    def order(self) -> tuple[object, ...]:
        """A canonical order: states that differ only in the order of servers are the same."""
        return (self.at.value, sorted(self.keys), repr(self))


@dataclass(frozen=True)
class Message:
    """A commit that was sent to the catalog and has not arrived."""

    commit_id: int
    keys: Keys
    version: int


@dataclass(frozen=True)
class World:
    """A state. `commits` have succeeded; the snapshots of the `visible` ones are not expired."""

    servers: tuple[Server, ...]
    rows: tuple[tuple[str, Row], ...] = ()
    commits: tuple[tuple[int, Keys], ...] = ()
    version: int = 0
    visible: frozenset[int] = frozenset()
    sent: frozenset[Message] = frozenset()
    answers: frozenset[tuple[str, int]] = frozenset()
    removable: frozenset[int] = frozenset()
    retention_base: Base | None = None
    claims: int = 0
    crashes: int = 0
    sends: int = 0
    retentions: int = 0

    @property
    def base(self) -> Base:
        return Base(self.version, self.visible)

    def row(self, key: str) -> Row | None:
        return dict(self.rows).get(key)

    def with_rows(self, changed: dict[str, Row]) -> "World":
        return replace(self, rows=tuple(sorted({**dict(self.rows), **changed}.items())))

    def with_server(self, number: int, server: Server) -> "World":
        servers = list(self.servers)
        servers[number] = server
        return replace(self, servers=tuple(sorted(servers, key=lambda each: each.order)))

    def answered(self, keys: Keys, commit_id: int) -> "World":
        return replace(self, answers=self.answers | {(key, commit_id) for key in keys})


def violation(world: World) -> str | None:
    """Return what is wrong in a state; None if nothing is."""
    holding: dict[str, list[int]] = {}
    for commit_id, keys in world.commits:
        for key in keys:
            holding.setdefault(key, []).append(commit_id)
    for key, commit_ids in holding.items():
        if len(commit_ids) > 1:
            return f"{key} is in the commits {commit_ids}"
    for key, commit_id in world.answers:
        if holding.get(key) != [commit_id]:
            return f"{key} is acknowledged for {commit_id}, it is in {holding.get(key)}"
    for key, row in world.rows:
        if row.applied and holding.get(key) != [row.claimants[-1]]:
            return f"{key} is settled for {row.claimants[-1]}, it is in {holding.get(key)}"
    return None
