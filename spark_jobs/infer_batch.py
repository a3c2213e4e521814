"""
Judge one batch by hand: `spark-submit --master MASTER infer_batch.py JOB.json OUT.arrow`.

Frameferry itself submits the same application out of its package, wherever that is installed.
"""

from __future__ import annotations

import sys

from frameferry.spark.application.infer_batch import main

if __name__ == "__main__":
    main(*sys.argv[1:])
