"""
Whether a server does what a delivery asks of it, tried in a folder of its own.

In: a connection and a folder. Out: findings, each with what was seen and what to set.
"""
