"""
The only package that knows Airflow: DAG factory, wait, tasks, connections.

In: the pipeline files. Out: one DAG each, whose tasks hold one call of pipeline.steps each.
Can fail: a transient error is a failed try, a terminal one a failed task; nothing at parse time.
"""
