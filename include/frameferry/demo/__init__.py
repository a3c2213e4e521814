"""
The demo: two equipments' pictures through the whole chain, carried by Airflow's scheduler.

In: nothing but the embedded stack. Out: a table a person understands, and an exit code.
Can fail: StackError if a server does not start; exit code 1 if a picture is unaccounted for.
"""
