"""Rows read with PyIceberg, from the embedded catalog.

Usage: read_back.py [HOME [TABLE]]
"""

import sys
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog


def main(home: str = "lakegate-data", table: str = "python_orders") -> None:
    """Print the rows of the current snapshot."""
    catalog = SqlCatalog("lakegate", uri=f"sqlite:///{Path(home).absolute() / 'catalog.db'}")
    try:
        found = catalog.load_table(("default", table))
        for row in found.scan().to_arrow().to_pylist():
            print({name: value for name, value in row.items() if value is not None})
    finally:
        catalog.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
