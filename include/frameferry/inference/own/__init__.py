"""
JUDGE, with a class of yours: what it is given, what it says, how its code is found and imported.

In: a class that `model.judge` names. Out: verdicts like a model's. Can fail: ModelMismatch (no such
class, or it does not load), JudgingFailed (it raised, or said what is no verdict).

A judge of yours imports `Verdict` and `Unjudged` from here; `PictureJudge` is what it has to be.
"""

from frameferry.inference.own.words import PictureJudge, Unjudged, Verdict

__all__ = ["PictureJudge", "Unjudged", "Verdict"]
