"""`python -m frameferry.stack.prepare`: fill the cache, so that a start needs no network."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from frameferry.errors import StackError
from frameferry.stack import airflow_database, jars


def main() -> int:
    """Make what is missing; say so, since it takes a minute."""
    if not jars.are_there():
        sys.stderr.write("setup: downloading the jars of Kafka\n")
    try:
        with ThreadPoolExecutor() as pool:
            for made in [pool.submit(jars.resolve), pool.submit(airflow_database.template)]:
                made.result()
    except StackError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
