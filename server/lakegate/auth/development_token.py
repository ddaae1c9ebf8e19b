"""The development token: a file under the home, for a gate that needs no tokens."""

from contextlib import suppress
from pathlib import Path

from lakegate.auth.tokens import new_secret
from lakegate.home import make_private

FILE_NAME = "dev-token"


def development_secret(home: Path) -> str:
    """Read the secret from the file under `home`, which is created if it is missing."""
    path = home / FILE_NAME
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    make_private(home)
    secret = new_secret()
    path.touch(mode=0o600)
    path.write_text(f"{secret}\n")
    return secret
