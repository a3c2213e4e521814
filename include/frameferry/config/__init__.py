"""
YAML to frozen settings, and connection ids to plain connection settings.

In: a pipeline's file; `AIRFLOW_CONN_<ID>`. Out: frozen pydantic models, units in their names.
Can fail: ConfigError (file, key and what is wrong), ConnectionMissing (id and remedy).
"""
