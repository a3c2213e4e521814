"""
The old design: Structured Streaming, TensorFlow in mapInArrow, collect() in foreachBatch, and one
ftplib connection that uploads picture after picture. Every picture passes through the driver.

    python -m benchmarks.pipeline.old_design BOOTSTRAP MODEL RECORDS_A_BATCH JARS...
"""

from __future__ import annotations

import ftplib
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.pipeline.loop import log_in
from benchmarks.pipeline.old_judge import BATCH, judging
from benchmarks.pipeline.programs import Errand, claim_answers, serve

COLUMNS: Final = "partition int, offset long, value binary, label long"
SETTINGS: Final = {
    "spark.ui.enabled": "false",
    "spark.driver.memory": "4g",
    "spark.driver.maxResultSize": "2g",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH),
}


class OldDesign:
    """A Spark session with warm workers; each errand is a streaming query of its own."""

    def __init__(self, bootstrap: str, model: str, records: int, jars: list[str]) -> None:
        from pyspark.sql import SparkSession

        os.environ["PYSPARK_PYTHON"] = sys.executable
        builder = SparkSession.builder.master("local[2]").config(map=SETTINGS)
        self._spark = builder.config("spark.jars", ",".join(jars)).getOrCreate()
        self._spark.sparkContext.setLogLevel("OFF")
        self._bootstrap = bootstrap
        self._judge = judging(model)
        self._records = records

    def carry(self, errand: Errand) -> Mapping[str, Any]:
        """Carry all that the topic holds from the errand's starts on."""
        delivered: list[int] = []

        def each(frame: Any, _number: int) -> None:  # noqa: ANN401 - pyspark's DataFrame
            delivered.append(upload(errand, frame.collect()))

        judged = self._stream(errand).mapInArrow(self._judge, COLUMNS)
        with tempfile.TemporaryDirectory() as checkpoint:
            writer = judged.writeStream.foreachBatch(each).trigger(availableNow=True)
            writer.option("checkpointLocation", checkpoint).start().awaitTermination()
        return {"batches": len(delivered), "delivered": sum(delivered)}

    def _stream(self, errand: Errand) -> Any:  # noqa: ANN401
        options = {
            "kafka.bootstrap.servers": self._bootstrap,
            "kafka.isolation.level": "read_committed",
            "subscribe": errand["topic"],
            "startingOffsets": json.dumps({errand["topic"]: errand["starts"]}),
            "maxOffsetsPerTrigger": str(self._records),
        }
        read = self._spark.readStream.format("kafka").options(**options).load()
        return read.select("partition", "offset", "value")


def upload(errand: Errand, rows: list[Any]) -> int:
    with ftplib.FTP(timeout=60) as ftp:
        log_in(ftp, errand)
        for row in rows:
            name = f"{row.partition}-{row.offset:020d}.jpg"
            ftp.storbinary(f"STOR {name}", io.BytesIO(bytes(row.value)))
    return len(rows)


def main() -> None:
    bootstrap, model, records, *folders = sys.argv[1:]
    claim_answers()
    jars = [str(jar) for folder in folders for jar in sorted(Path(folder).glob("*.jar"))]
    serve(OldDesign(bootstrap, model, int(records), jars).carry)


if __name__ == "__main__":
    main()
