"""
The death loop that Frameferry was made for, and the way out of it, on real servers.

In: embedded servers, generated pictures. Out: the story, with the real messages and times.
Can fail: Untold, where a part of it does not happen as told, or a picture is not there once.
"""
