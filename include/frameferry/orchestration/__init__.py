"""
The only package that knows Airflow: DAG factory, wait, tasks, connections.

In: the pipeline files. Out: one DAG per file; each task is one call of pipeline.steps.
Can fail: a transient error is a failed try, a terminal one a failed task; nothing at parse time.
"""
