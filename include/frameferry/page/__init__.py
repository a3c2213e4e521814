"""
The read-only page: all pipelines at a glance, as HTML and as JSON. No Airflow in it.

In: pipeline files, a resolver, the guards its host puts before every route. Out: a FastAPI app.
Can fail: nothing shows as a 500: servers that are down become advice on the page.
"""
