"""Many connections open one new database at once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from lakegate.database.sqlite import BUSY_SECONDS, prepare_connection

CONNECTIONS = 8
FILES = 30


def test_concurrent_opens_of_a_new_file_all_succeed(tmp_path: Path) -> None:
    together = Barrier(CONNECTIONS)

    def open_and_write(path: Path) -> None:
        together.wait()
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        prepare_connection(connection)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE IF NOT EXISTS rows (row)")
        connection.execute("INSERT INTO rows VALUES (1)")
        connection.execute("COMMIT")
        connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        for number in range(FILES):
            path = tmp_path / f"{number}.db"
            list(threads.map(open_and_write, [path] * CONNECTIONS))
            connection = sqlite3.connect(path)
            assert connection.execute("SELECT count(*) FROM rows").fetchone() == (CONNECTIONS,)
            connection.close()
