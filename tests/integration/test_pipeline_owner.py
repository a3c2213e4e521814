"""Who holds a lease is one process: one that was forked from it is another."""

from __future__ import annotations

import os
from pathlib import Path

from fixtures.ferry import bench
from fixtures.kafka import KafkaServer


def test_a_forked_process_owns_its_leases_under_another_name(
    tmp_path: Path, kafka_server: KafkaServer, ftp_server: object
) -> None:
    ferry = bench(tmp_path, topic="unread", kafka=kafka_server, ftp=ftp_server)
    with ferry.context() as ctx:
        reading, writing = os.pipe()
        mine = ctx.owner
        child = os.fork()
        if not child:
            os.write(writing, ctx.owner.encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as said:
            theirs = said.read()
        assert os.waitpid(child, 0)[1] == 0
        assert theirs
        assert theirs != mine
        assert mine == ctx.owner
