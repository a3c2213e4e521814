"""
Write the Spark checkpoints beside this file anew, by real runs of Structured Streaming.

    python tests/data/spark_checkpoints/make.py

It needs Java, and Spark's Kafka connector, as `benchmarks/pipeline/connector.py` fetches it. What
Spark 4.3.0 wrote stays as it is: that needs an environment of its own, and the connector of 4.2.0.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1])]

from fixtures.kafka import KafkaServer, running_kafka  # noqa: E402

from benchmarks.pipeline.connector import connector  # noqa: E402 - found by the path above

TOPIC = "press-a.images"
OTHER = "paint-b.images"
BY_4_3 = "died_on_4_3"
V2 = "spark.sql.streaming.offsetLog.formatVersion"


class Maker:
    """One Spark session, and a broker whose topic has two partitions."""

    def __init__(self, kafka: KafkaServer) -> None:
        from pyspark.sql import SparkSession

        os.environ["PYSPARK_PYTHON"] = sys.executable
        jars = ",".join(str(jar) for jar in sorted(connector().glob("*.jar")))
        builder = SparkSession.builder.master("local[2]").config("spark.jars", jars)
        self.spark = builder.config("spark.ui.enabled", "false").getOrCreate()
        self.spark.sparkContext.setLogLevel("OFF")
        self.kafka = kafka

    def stream(self, topics: str = TOPIC, **options: str) -> Any:
        read = self.spark.readStream.format("kafka").option("subscribe", topics)
        servers = self.kafka.bootstrap_servers
        given = {"kafka.bootstrap.servers": servers, "startingOffsets": "earliest", **options}
        return read.options(**given).load()

    def run(self, name: str, stream: Any, *, dies: bool = False) -> None:
        """Carry all there is; where it dies, let the first batch fail that it plans."""

        def sink(frame: Any, number: int) -> None:
            frame.count()
            if dies:
                msg = f"batch {number} is too much"
                raise RuntimeError(msg)

        writer = stream.writeStream.foreachBatch(sink).trigger(availableNow=True)
        try:
            writer.option("checkpointLocation", str(HERE / name)).start().awaitTermination()
        except Exception as error:
            if not dies:
                raise
            sys.stdout.write(f"{name}: died of {type(error).__name__}\n")

    def produce(self, count: int, partition: int = 0, topic: str = TOPIC) -> None:
        values = [f"{topic} {partition} {at}".encode() for at in range(count)]
        self.kafka.produce(topic, values, partition=partition)


def main() -> None:
    for old in HERE.iterdir():
        if old.is_dir() and old.name != BY_4_3:
            shutil.rmtree(old)
    with tempfile.TemporaryDirectory() as home, running_kafka(Path(home)) as kafka:
        for topic in (TOPIC, OTHER):
            kafka.create_topic(topic, partitions=2)
        make(Maker(kafka))
    for place in sorted(HERE.rglob("offsets/[0-9]*")):
        sys.stdout.write(f"{place.relative_to(HERE)} {json.dumps(place.read_text())}\n")


def make(maker: Maker) -> None:
    maker.produce(4)
    maker.produce(3, partition=1)
    maker.produce(2, topic=OTHER)
    # Three batches, all of them committed.
    maker.run("stopped", maker.stream(maxOffsetsPerTrigger="3"))
    shutil.copytree(HERE / "stopped", HERE / "died")
    maker.run("died_at_first", maker.stream(), dies=True)
    maker.run("two_topics", maker.stream(f"{TOPIC},{OTHER}"))
    maker.run("two_sources", maker.stream().union(maker.stream(OTHER)))
    rate = maker.spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 5)
    maker.run("no_kafka", rate.option("numPartitions", 1).load())
    maker.spark.conf.set(V2, "2")
    maker.run("version_2", maker.stream())
    maker.spark.conf.set(V2, "1")
    # Its fourth batch is planned, and never committed.
    maker.produce(6)
    maker.produce(1, partition=1)
    maker.run("died", maker.stream(), dies=True)
    maker.spark.stop()


if __name__ == "__main__":
    main()
