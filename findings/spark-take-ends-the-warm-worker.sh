#!/usr/bin/env bash
# Spark 4.2.0: a job on mapInArrow that stops reading early (take, first, isEmpty, limit) throws away
# the Python worker that served it, and with it whatever that had loaded; one that reads to the end
# (count, collect, toArrow) keeps it. So a keep-alive must read to the end.
# Source: pyspark/worker.py answers END_OF_DATA_SECTION instead of END_OF_STREAM where input is left.
# Needs: Python 3.11, Java 17 or 21. Seen on 2026-11-30 with pyspark 4.2.0, pyarrow 23:
#   count, count: same worker      take(1), count: another worker
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pyspark==4.2.0 'pandas<3' pyarrow numpy
cat >"$work/try.py" <<'PY'
import os, sys
import pyarrow as pa
from pyspark.sql import SparkSession

os.environ["PYSPARK_PYTHON"] = sys.executable
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()

def pids(batches):
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"pid": [os.getpid()] * batch.num_rows})

frame = lambda: spark.range(0, 100_000, 1, 1).mapInArrow(pids, "pid long")
worker = lambda: frame().distinct().collect()[0].pid
first, second = worker(), worker()
frame().take(1)
third = worker()
print(f"pyspark {spark.version}: read to the end, twice: {'same' if first == second else 'other'} "
      f"worker; after take(1): {'same' if second == third else 'another'} worker")
sys.exit(0 if first == second != third else 1)
PY
"$work/venv/bin/python" "$work/try.py" 2>/dev/null
