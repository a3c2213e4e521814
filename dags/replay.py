"""The replay form: run a range of committed offsets of one pipeline again."""

from frameferry.orchestration.replay import replay_dag

dag = replay_dag()
