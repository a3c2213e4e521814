"""
Look at all pipelines at once: their alarms, what of them is new, and figures for other tools.

Takes the pipelines' settings; gives a status or an error for each, in bounded time. A pipeline that
cannot be asked hides no other.
"""
