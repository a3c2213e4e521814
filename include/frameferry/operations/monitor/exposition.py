"""Write gauges in Prometheus' text format, for its textfile collector or a scrape."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest, write_to_textfile
from prometheus_client.registry import Collector, CollectorRegistry

from frameferry.errors import ConfigError
from frameferry.operations.monitor.gauges import ALL, Sample


class _Measured(Collector):
    """Samples as Prometheus' client collects them; a gauge without one is left out."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples: Final = tuple(samples)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield each gauge with its samples."""
        for gauge in ALL:
            family = GaugeMetricFamily(gauge.full_name, gauge.help, labels=gauge.label_names)
            for sample in self._samples:
                if sample.gauge is gauge:
                    family.add_metric(sample.labels, sample.value)
            if family.samples:
                yield family


def exposed(samples: Iterable[Sample]) -> str:
    """Write them as text."""
    return generate_latest(_registry(samples)).decode()


def expose(samples: Iterable[Sample], path: Path) -> None:
    """
    Write them to a file, whole: a reader sees the old one or the new one.

    Raises:
        ConfigError: It cannot be written there.
    """
    try:
        write_to_textfile(str(path), _registry(samples))
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        msg = f"the metrics cannot be written to {path}: {reason}"
        raise ConfigError(msg, remedy="Give a file in a folder that may be written to") from error


def _registry(samples: Iterable[Sample]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Measured(samples))
    return registry
