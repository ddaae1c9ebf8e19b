"""The steps of the protocol of `docs/exactly-once.md`, explored in every order.

Servers, the catalog, retention and the network take their steps in any order. Each step of a
server is one transaction of the ledger, or one read or guarded commit of the table. Between any
two steps another may happen, the server may crash, and a commit that was sent may arrive at any
later time, or never. Leases are left out: a claim may be displaced at any time.
"""

from collections.abc import Iterator
from dataclasses import replace

from tests.testing.protocol_model import At, Bounds, Message, Row, Rules, Server, World, violation


def explore(rules: Rules, bounds: Bounds) -> tuple[int, list[World] | None]:
    """Visit every state; return how many there are, and the path to a violation if there is one."""
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
                    return len(came_from), _path_to(after, came_from)
                following.append(after)
        frontier = following
    return len(came_from), None


def _path_to(world: World, came_from: dict[World, World | None]) -> list[World]:
    path: list[World] = []
    step: World | None = world
    while step is not None:
        path.append(step)
        step = came_from[step]
    return path[::-1]


def _steps(world: World, rules: Rules, bounds: Bounds) -> Iterator[World]:
    for number, server in enumerate(world.servers):
        yield from _server_steps(world, number, server, rules, bounds)
        if server.at is not At.IDLE and world.crashes < bounds.crashes:
            crashed = replace(world, crashes=world.crashes + 1)
            yield crashed.with_server(number, Server())
    for message in world.sent:
        yield _arrive(world, message, rules)
    yield from _retention_steps(world, rules, bounds)


def _server_steps(  # noqa: C901, PLR0912 - one case for each progress of a server
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
            yield become(world, at=At.LOOKED_UP, seen=seen)
        case At.LOOKED_UP:
            yield _search_table(world, number, server)
        case At.ADMITTED:
            if rules.claim_after_base:
                yield become(world, at=At.BASED, base=world.base)
            elif world.claims < bounds.claims:
                yield _claim(world, number, server, rules)
        case At.BASED:
            if world.claims < bounds.claims:
                yield _claim(world, number, server, rules)
        case At.CLAIMED:
            yield _acquire(world, number, replace(server, base=world.base), rules)
        case At.ACQUIRED:
            if world.sends < bounds.sends:
                assert server.base is not None
                message = Message(server.commit_id, server.keys, server.base.version)
                after = replace(world, sent=world.sent | {message}, sends=world.sends + 1)
                yield become(after, at=At.SENT)
        case At.SENT:
            yield become(world, at=At.CONFLICT)  # the answer was lost
            yield world.with_server(number, Server())  # … and the server stops trying
        case At.CONFLICT:
            yield become(world, at=At.REBASED, base=world.base)
        case At.REBASED:
            yield _renew(world, number, server, rules)
        case At.COMMITTED:
            yield become(world.answered(server.keys, server.commit_id), at=At.ANSWERED)
        case At.ANSWERED:
            settled = {
                key: Row(row.claimants, applied=True)
                for key, row in world.rows
                if row.claimants[-1] == server.commit_id
            }
            yield world.with_rows(settled).with_server(number, Server())


def _search_table(world: World, number: int, server: Server) -> World:
    """Replay applied batches, settle the commits that are found, and continue with the rest."""
    after = world
    rest: list[tuple[str, Row | None]] = []
    for key, row in server.seen:
        if row is None:
            rest.append((key, row))
        elif row.applied:
            after = after.answered(frozenset(key), row.claimants[-1])
        elif found := set(row.claimants) & world.visible:
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
        return world.with_server(number, Server())  # a conflict of claims
    displaced: set[int] = set()
    rows = {}
    for key, row in server.seen:
        before = row.claimants if row else ()
        if not rules.displaced_are_all_kept:
            before = before[-1:]
        displaced.update(before)
        rows[key] = Row((*before, commit_id))
    world = world.with_rows(rows)
    claimed = replace(server, seen=(), commit_id=commit_id, displaced=frozenset(displaced))
    if server.base is None:
        return world.with_server(number, replace(claimed, at=At.CLAIMED))
    return _acquire(world, number, claimed, rules)


def _acquire(world: World, number: int, server: Server, rules: Rules) -> World:
    """Continue with the claims if no displaced commit is in the base."""
    assert server.base is not None
    if rules.displaced_are_checked and server.displaced & server.base.visible:
        return world.with_server(number, Server())
    return world.with_server(number, replace(server, at=At.ACQUIRED))


def _renew(world: World, number: int, server: Server, rules: Rules) -> World:
    assert server.base is not None
    if rules.own_commit_is_checked and server.commit_id in server.base.visible:
        return world.with_server(number, replace(server, at=At.COMMITTED, base=None))
    rows = dict(world.rows)
    kept = all(
        rows[key].claimants[-1] == server.commit_id and not rows[key].applied for key in server.keys
    )
    if rules.claims_are_renewed and not kept:
        return world.with_server(number, Server())
    return _acquire(world, number, server, rules)


def _arrive(world: World, message: Message, rules: Rules) -> World:
    """Deliver a commit to the catalog; its server gets the answer if it still waits."""
    comes_through = message.version == world.version or not rules.commits_are_guarded
    world = replace(world, sent=world.sent - {message})
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
    """Read the table, then the ledger; at any later time, remove what was removable then."""
    if world.retentions < bounds.retentions and world.retention_base is None:
        yield replace(world, retention_base=world.base, retentions=world.retentions + 1)
    if world.retention_base is not None:
        pending = {each for _, row in world.rows if not row.applied for each in row.claimants}
        removable = world.retention_base.visible - (
            pending if rules.pending_commits_are_kept else set()
        )
        yield replace(world, retention_base=None, removable=world.removable | removable)
    if world.removable & world.visible:  # the removal is part of a commit
        yield replace(world, visible=world.visible - world.removable, version=world.version + 1)
