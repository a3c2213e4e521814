"""
The death loop, and the way out of it: `make death-loop`.

    python -m benchmarks.death_loop [--out FILE]

A stream of the old design carries a few pictures. Then many come at once: it dies, dies again on
the same batch, and dies again with a limit, since Spark replays a planned batch as it was planned.
Then Frameferry adopts its Spark checkpoint, under the same limit of Spark's driver, and delivers
them all.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.death_loop.story import Story, Untold, tell
from benchmarks.pipeline.servers import embedded, ftp_server
from frameferry.stack import spark

MAX_RESULT_SIZE = "2m"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write what happened as JSON")
    asked = parser.parse_args()
    spark.CONF["spark.driver.maxResultSize"] = MAX_RESULT_SIZE
    with tempfile.TemporaryDirectory(prefix="frameferry-death-loop-") as folder:
        say("Starting Kafka, Spark and FTP ...")
        with (
            embedded(Path(folder), ["kafka", "spark", "ftp"]) as home,
            ftp_server("embedded", Path(folder)) as site,
        ):
            story = Story(home, site, MAX_RESULT_SIZE, say)
            try:
                tell(story)
            except Untold as error:
                say(f"NOT as told: {error}")
                return 1
    if asked.out is not None:
        asked.out.write_text(json.dumps(asdict(story.found), indent=1) + "\n", encoding="utf-8")
    return 0


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
