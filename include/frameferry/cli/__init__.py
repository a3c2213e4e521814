"""
The command line `frameferry`: the same steps without Airflow, and listings for people and programs.

In: arguments, `AIRFLOW_CONN_<ID>`, FRAMEFERRY_HOME, FRAMEFERRY_PIPELINES. Out: tables, or JSON.
Can fail: one line on stderr and exit code 1 for any FrameferryError, 2 for wrong usage.
"""
