"""The command `lakegate token`: creates, lists and revokes tokens. Servers may be running."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import click

from lakegate.auth.store import StoredToken, TokenStore
from lakegate.auth.tokens import DATABASE, Permission
from lakegate.cli.preconditions import check_home, check_ledger_exists
from lakegate.model import DEFAULT_DATABASE
from lakegate.settings import Settings, read_settings

_COLUMNS = "{:<14}{:<20}{:<24}{:<18}{:<18}{}"
_FIRST = (
    "This is the first token: from now on every call needs one, add -H 'Authorization: Bearer "
    "SECRET'. Calls without a token and the development token are refused, even if this one is "
    "revoked."
)


@click.group()
def token() -> None:
    """Create, list and revoke tokens."""


@token.command()
@click.option(
    "--database", default=DEFAULT_DATABASE, show_default=True, help="The database of the token."
)
@click.option(
    "--permission",
    "permissions",
    type=click.Choice([permission.value for permission in Permission]),
    multiple=True,
    default=[Permission.INGEST.value],
    show_default=True,
    help="What the token permits; may be repeated.",
)
@click.option("--description", default="", help="A note for `lakegate token list`.")
def create(database: str, permissions: tuple[str, ...], description: str) -> None:
    """Create a token. Its secret is printed once, and not stored."""
    if not description.isprintable():
        raise click.BadParameter("it must be one line of text", param_hint="--description")
    if not DATABASE.fullmatch(database):
        raise click.BadParameter("it must be [a-z_][a-z0-9_]{0,62}", param_hint="--database")
    settings = read_settings()
    check_home(settings)
    with _store(settings) as store:
        is_first = not store.tokens()
        secret, new = store.create(database, map(Permission, permissions), description)
    click.echo(f"Token {new.id} for the database {database}. Its secret, shown only now:", err=True)
    click.echo(secret)
    if is_first:
        click.echo(_FIRST, err=True)


@token.command("list")
def list_tokens() -> None:
    """List all tokens that were ever created, without their secrets."""
    with _existing_store() as store:
        tokens = store.tokens()
    click.echo(
        _COLUMNS.format("ID", "DATABASE", "PERMISSIONS", "CREATED", "REVOKED", "DESCRIPTION")
    )
    for each in tokens:
        click.echo(_line(each).rstrip())


@token.command()
@click.argument("token_id")
def revoke(token_id: str) -> None:
    """Revoke a token: running servers refuse it within seconds."""
    with _existing_store() as store:
        if not store.revoke(token_id):
            raise click.ClickException(f"there is no token {token_id}")
    click.echo(f"Token {token_id} is revoked.")


def _line(each: StoredToken) -> str:
    return _COLUMNS.format(
        each.token.id,
        each.token.database,
        ",".join(sorted(each.token.permissions)),
        f"{each.created_at:%Y-%m-%d %H:%M}",
        f"{each.revoked_at:%Y-%m-%d %H:%M}" if each.revoked_at else "",
        each.description,
    )


def _existing_store() -> AbstractContextManager[TokenStore]:
    settings = read_settings()
    check_ledger_exists(settings)
    return _store(settings)


@contextmanager
def _store(settings: Settings) -> Iterator[TokenStore]:
    store = TokenStore(settings.ledger_database)
    try:
        yield store
    finally:
        store.close()
