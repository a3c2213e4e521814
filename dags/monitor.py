"""Look at all pipelines every few minutes, and tell people what is new."""

# Airflow parses a file only if the words "airflow" and "dag" are in it.
from frameferry.orchestration.monitor import monitor_dag

dag = monitor_dag()
