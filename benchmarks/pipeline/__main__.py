"""
The whole chain measured: Frameferry, alone and under Airflow, beside a loop and the old design.

    make benchmark                      everything; writes docs/measurements/benchmark.json
    make benchmark SMOKE=1              everything once, small, into a temporary folder
    make benchmark ONLY="--parts near --models cnn --sizes 640x480 --rounds 5"

Everything is warm: each side carries two backlogs that are not measured. Rounds are interleaved:
all sides carry one backlog, which appears in Kafka whole, before the next is written. A round ends
when every file is on the FTP server under its final name and, for Frameferry, committed.
"""

from __future__ import annotations

import sys
import time

from benchmarks.pipeline.documents import write_between
from benchmarks.pipeline.options import Options, parse
from benchmarks.pipeline.parts import run_parts
from benchmarks.pipeline.results import Results, described, settings_of, write
from benchmarks.pipeline.summary import renew
from benchmarks.pipeline.table import table


def main() -> None:
    options = parse(sys.argv[1:], __doc__ or "")
    began = time.monotonic()
    results = Results(described(settings_of(options)), run_parts(options, say))
    say(f"done after {(time.monotonic() - began) / 60:.1f} min\n\n{table(results)}")
    keep(options, results)


def keep(options: Options, results: Results) -> None:
    """Write the results; only a whole benchmark changes the documents."""
    if options.out is None:
        return
    write(results, options.out)
    say(f"written: {options.out}")
    if options.document:
        write_between("benchmark", table(results))
        renew()


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
