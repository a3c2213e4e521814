"""Real servers for the integration tests."""

from fixtures.ftp import ftp_server, make_ftp
from fixtures.kafka import kafka_server
from fixtures.spark import spark_server

__all__ = ["ftp_server", "kafka_server", "make_ftp", "spark_server"]
