"""The file that spark-submit runs, alone in its folder: Python looks for modules there first."""
