"""The audit form in Airflow: compare Kafka, ledger and FTP server of one pipeline."""

# Airflow parses a file only if the words "airflow" and "dag" are in it.
from frameferry.orchestration.audit import audit_dag

dag = audit_dag()
