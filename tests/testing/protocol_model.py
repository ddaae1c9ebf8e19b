"""The protocol of `lakegate.lake.ledger` as a model, explored in every order of its steps.

Servers, the catalog, retention and the network take their steps in any order.
Every step of a server is one transaction of the ledger, or one read or guarded
commit of the table; between any two of them another may come, the server may
crash, and a commit that was sent may arrive at any later time, or never.
Leases are left out: a claim may be taken over at any time, as if no lease held.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

Keys = frozenset[str]


@dataclass(frozen=True)
class Rules:
    """What the protocol insists on. A model without one of these must fail."""

    claim_after_base: bool = True
    displaced_are_checked: bool = True
    displaced_are_all_kept: bool = True
    claims_are_renewed: bool = True
    own_commit_is_checked: bool = True
    commits_are_guarded: bool = True
    pending_commits_are_kept: bool = True


@dataclass(frozen=True)
class Bounds:
    """How far the exploration goes: what may happen how often, all servers together."""

    servers: int = 2
    groups: tuple[Keys, ...] = (frozenset("a"),)
    claims: int = 3
    crashes: int = 1
    sends: int = 4
    retentions: int = 1


@dataclass(frozen=True)
class Row:
    """An entry of the ledger; `attempts` are commit ids, the newest last."""

    attempts: tuple[int, ...]
    applied: bool = False


@dataclass(frozen=True)
class Base:
    """The table as somebody has read it."""

    version: int
    visible: frozenset[int]


class At(Enum):
    """Where a server is."""

    IDLE = auto()
    ARRIVED = auto()  # a group has come
    LOOKED = auto()  # the ledger was asked
    ADMITTED = auto()  # the table was asked for what is pending
    BASED = auto()  # the base of the commit is read
    CLAIMED = auto()  # the claims were made, before the base is read: what must not be
    OWNED = auto()  # the claims are made, on that base
    SENT = auto()  # the commit is on its way
    CONFLICT = auto()  # it failed, or nobody knows
    REBASED = auto()  # the base is read again
    COMMITTED = auto()
    ANSWERED = auto()  # … and not settled yet


@dataclass(frozen=True)
class Server:
    """One server with at most one group under way."""

    at: At = At.IDLE
    keys: Keys = frozenset()
    seen: tuple[tuple[str, Row | None], ...] = ()
    base: Base | None = None
    commit_id: int = -1
    displaced: frozenset[int] = frozenset()

    @property
    def order(self) -> tuple[object, ...]:
        """Servers are alike: states that differ in their order alone are one."""
        return (self.at.value, sorted(self.keys), repr(self))


@dataclass(frozen=True)
class Message:
    """A commit on its way to the catalog."""

    commit_id: int
    keys: Keys
    version: int


@dataclass(frozen=True)
class World:
    """Everything there is. `commits` are those that came through, `visible` those not expired."""

    servers: tuple[Server, ...]
    rows: tuple[tuple[str, Row], ...] = ()
    commits: tuple[tuple[int, Keys], ...] = ()
    version: int = 0
    visible: frozenset[int] = frozenset()
    flying: frozenset[Message] = frozenset()
    answers: frozenset[tuple[str, int]] = frozenset()
    free: frozenset[int] = frozenset()
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
    """Say what must never be and is."""
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
        if row.applied and holding.get(key) != [row.attempts[-1]]:
            return f"{key} is settled for {row.attempts[-1]}, it is in {holding.get(key)}"
    return None


def explore(rules: Rules, bounds: Bounds) -> tuple[int, list[World] | None]:
    """Visit every state. Give how many there are, and the way to a violation if there is one."""
    start = World(servers=tuple(Server() for _ in range(bounds.servers)))
    came_from: dict[World, World | None] = {start: None}
    frontier = [start]
    while frontier:
        following = []
        for world in frontier:
            for after in _steps(world, rules, bounds):
                if after in came_from:
                    continue
                came_from[after] = world
                if violation(after):
                    return len(came_from), _way_to(after, came_from)
                following.append(after)
        frontier = following
    return len(came_from), None


def _way_to(world: World, came_from: dict[World, World | None]) -> list[World]:
    way: list[World] = []
    step: World | None = world
    while step is not None:
        way.append(step)
        step = came_from[step]
    return way[::-1]


def _steps(world: World, rules: Rules, bounds: Bounds) -> Iterator[World]:
    for number, server in enumerate(world.servers):
        yield from _server_steps(world, number, server, rules, bounds)
        if server.at is not At.IDLE and world.crashes < bounds.crashes:
            crashed = replace(world, crashes=world.crashes + 1)
            yield crashed.with_server(number, Server())
    for message in world.flying:
        yield _arrive(world, message, rules)
    yield from _retention_steps(world, rules, bounds)


def _server_steps(  # noqa: C901, PLR0912 - one case for each place a server can be at
    world: World, number: int, server: Server, rules: Rules, bounds: Bounds
) -> Iterator[World]:
    def become(after: World, **changes: object) -> World:
        return after.with_server(number, replace(server, **changes))  # type: ignore[arg-type] # fields

    match server.at:
        case At.IDLE:
            for keys in bounds.groups:
                yield become(world, at=At.ARRIVED, keys=keys)
        case At.ARRIVED:
            seen = tuple((key, world.row(key)) for key in sorted(server.keys))
            yield become(world, at=At.LOOKED, seen=seen)
        case At.LOOKED:
            yield _look_into_table(world, number, server)
        case At.ADMITTED:
            if rules.claim_after_base:
                yield become(world, at=At.BASED, base=world.base)
            elif world.claims < bounds.claims:
                yield _claim(world, number, server, rules)
        case At.BASED:
            if world.claims < bounds.claims:
                yield _claim(world, number, server, rules)
        case At.CLAIMED:
            yield _own(world, number, replace(server, base=world.base), rules)
        case At.OWNED:
            if world.sends < bounds.sends:
                assert server.base is not None
                message = Message(server.commit_id, server.keys, server.base.version)
                sent = replace(world, flying=world.flying | {message}, sends=world.sends + 1)
                yield become(sent, at=At.SENT)
        case At.SENT:
            yield become(world, at=At.CONFLICT)  # the answer never came
            yield world.with_server(number, Server())  # … and the server gives up
        case At.CONFLICT:
            yield become(world, at=At.REBASED, base=world.base)
        case At.REBASED:
            yield _renew(world, number, server, rules)
        case At.COMMITTED:
            yield become(world.answered(server.keys, server.commit_id), at=At.ANSWERED)
        case At.ANSWERED:
            settled = {
                key: Row(row.attempts, applied=True)
                for key, row in world.rows
                if row.attempts[-1] == server.commit_id
            }
            yield world.with_rows(settled).with_server(number, Server())


def _look_into_table(world: World, number: int, server: Server) -> World:
    """Replay what is applied; settle what is found; go on with the rest."""
    after = world
    rest: list[tuple[str, Row | None]] = []
    for key, row in server.seen:
        if row is None:
            rest.append((key, row))
        elif row.applied:
            after = after.answered(frozenset(key), row.attempts[-1])
        elif found := set(row.attempts) & world.visible:
            commit_id = found.pop()
            now = after.row(key)
            if now is not None and not now.applied:
                after = after.with_rows({key: Row((commit_id,), applied=True)})
            after = after.answered(frozenset(key), commit_id)
        else:
            rest.append((key, row))
    keys = frozenset(key for key, _ in rest)
    admitted = replace(server, at=At.ADMITTED, keys=keys, seen=tuple(rest))
    return after.with_server(number, admitted if keys else Server())


def _claim(world: World, number: int, server: Server, rules: Rules) -> World:
    commit_id = world.claims
    world = replace(world, claims=world.claims + 1)
    if any(world.row(key) != row for key, row in server.seen):
        return world.with_server(number, Server())  # contested
    displaced: set[int] = set()
    rows = {}
    for key, row in server.seen:
        before = row.attempts if row else ()
        if not rules.displaced_are_all_kept:
            before = before[-1:]
        displaced.update(before)
        rows[key] = Row((*before, commit_id))
    world = world.with_rows(rows)
    claimed = replace(server, seen=(), commit_id=commit_id, displaced=frozenset(displaced))
    if server.base is None:
        return world.with_server(number, replace(claimed, at=At.CLAIMED))
    return _own(world, number, claimed, rules)


def _own(world: World, number: int, server: Server, rules: Rules) -> World:
    """Go on with the claims if no displaced commit is in the base."""
    assert server.base is not None
    if rules.displaced_are_checked and server.displaced & server.base.visible:
        return world.with_server(number, Server())
    return world.with_server(number, replace(server, at=At.OWNED))


def _renew(world: World, number: int, server: Server, rules: Rules) -> World:
    assert server.base is not None
    if rules.own_commit_is_checked and server.commit_id in server.base.visible:
        return world.with_server(number, replace(server, at=At.COMMITTED, base=None))
    rows = dict(world.rows)
    kept = all(
        rows[key].attempts[-1] == server.commit_id and not rows[key].applied for key in server.keys
    )
    if rules.claims_are_renewed and not kept:
        return world.with_server(number, Server())
    return _own(world, number, server, rules)


def _arrive(world: World, message: Message, rules: Rules) -> World:
    """Let a commit reach the catalog; whoever waits for it learns what became of it."""
    comes_through = message.version == world.version or not rules.commits_are_guarded
    world = replace(world, flying=world.flying - {message})
    if comes_through:
        world = replace(
            world,
            commits=(*world.commits, (message.commit_id, message.keys)),
            version=world.version + 1,
            visible=world.visible | {message.commit_id},
        )
    for number, server in enumerate(world.servers):
        if server.at is At.SENT and server.commit_id == message.commit_id:
            after = At.COMMITTED if comes_through else At.CONFLICT
            return world.with_server(number, replace(server, at=after, base=None))
    return world


def _retention_steps(world: World, rules: Rules, bounds: Bounds) -> Iterator[World]:
    """Read the table, then the ledger; then, at any later time, remove what was free then."""
    if world.retentions < bounds.retentions and world.retention_base is None:
        yield replace(world, retention_base=world.base, retentions=world.retentions + 1)
    if world.retention_base is not None:
        named = {each for _, row in world.rows if not row.applied for each in row.attempts}
        free = world.retention_base.visible - (named if rules.pending_commits_are_kept else set())
        yield replace(world, retention_base=None, free=world.free | free)
    if world.free & world.visible:  # a commit of somebody else, with the removal in it
        yield replace(world, visible=world.visible - world.free, version=world.version + 1)
