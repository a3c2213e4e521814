"""Real servers for the integration tests."""

from fixtures.ftp import ftp_server, make_ftp
from fixtures.kafka import kafka_server
from fixtures.ledgers import (
    ledger,
    ledger_url,
    postgres,
    postgres_template,
    press,
    sqlite_template,
)
from fixtures.spark import spark_server

__all__ = [
    "ftp_server",
    "kafka_server",
    "ledger",
    "ledger_url",
    "make_ftp",
    "postgres",
    "postgres_template",
    "press",
    "spark_server",
    "sqlite_template",
]
