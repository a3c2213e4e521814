"""The replay form in Airflow: run again what a person selects of one pipeline."""

# Airflow parses a file only if the words "airflow" and "dag" are in it.
from frameferry.orchestration.replay import replay_dag

dag = replay_dag()
