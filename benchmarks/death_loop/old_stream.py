"""
The old design as a service: a stream that collects each batch on the driver, and uploads it there.

    python -m benchmarks.death_loop.old_stream < SETTINGS

SETTINGS are JSON: where Kafka and FTP are, the topic, the Spark checkpoint's folder, the driver's
limit, and how many offsets a batch may hold (0: as many as there are). It runs until it dies. What
judges the pictures is left out: the driver dies of collecting them.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from benchmarks.pipeline.old_design import upload

QUICK_START = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""It lives for seconds, three times."""


def main() -> None:
    from pyspark.sql import SparkSession

    told = json.load(sys.stdin)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.maxResultSize", told["max_result_size"])
    builder = builder.config("spark.driver.extraJavaOptions", QUICK_START)
    spark = builder.config("spark.jars", ",".join(told["jars"])).getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    options = {
        "kafka.bootstrap.servers": told["bootstrap"],
        "kafka.isolation.level": "read_committed",
        "subscribe": told["topic"],
        "startingOffsets": "earliest",
        **({"maxOffsetsPerTrigger": str(told["limit"])} if told["limit"] else {}),
    }

    def deliver(frame: Any, _number: int) -> None:  # noqa: ANN401 - pyspark's DataFrame
        upload(told["ftp"], frame.collect())

    read = spark.readStream.format("kafka").options(**options).load()
    writer = read.select("partition", "offset", "value").writeStream.foreachBatch(deliver)
    writer.option("checkpointLocation", told["checkpoint"]).start().awaitTermination()


if __name__ == "__main__":
    main()
