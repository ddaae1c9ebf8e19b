"""The command `lakegate token`: creates, lists and revokes tokens. Servers may be running."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from lakegate.auth.store import StoredToken, TokenStore
from lakegate.auth.tokens import DATABASE, Permission
from lakegate.model import DEFAULT_DATABASE
from lakegate.settings import read_settings

_COLUMNS = "{:<14}{:<20}{:<24}{:<18}{:<18}{}"


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
    with _store() as store:
        secret, new = store.create(database, map(Permission, permissions), description)
    click.echo(f"Token {new.id} for the database {database}. Its secret, shown only now:", err=True)
    click.echo(secret)


@token.command("list")
def list_tokens() -> None:
    """List all tokens that were ever created, without their secrets."""
    with _store() as store:
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
    with _store() as store:
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


@contextmanager
def _store() -> Iterator[TokenStore]:
    store = TokenStore(read_settings().ledger_database)
    try:
        yield store
    finally:
        store.close()
