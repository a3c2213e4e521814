"""One Airflow DAG per pipeline file: wait → plan → (infer → deliver → commit)* → publish."""

# Airflow parses a file only if the words "airflow" and "dag" are in it.
from frameferry.orchestration.factory import ferry_dags

for dag in ferry_dags():
    globals()[dag.dag_id] = dag
