"""Manual backfill by a form in Airflow: replay a range of offsets of one pipeline."""

from frameferry.orchestration.replay import replay_dag

dag = replay_dag()
