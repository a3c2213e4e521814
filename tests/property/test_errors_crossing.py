"""Whatever the words of an error of ours are, it comes out of Spark's text as it went in."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from frameferry.errors import BatchTooBig, FrameferryError, FtpUnavailable, TopicMissing
from frameferry.spark.crossing import WorkerError, crossed

ANY_TEXT = st.text(st.characters()) | st.sampled_from(
    ["frameferry-error ", "frameferry-error {", "{}", '"', "\\u0000"]
)
COORDINATES = {
    "pipeline": st.none() | ANY_TEXT,
    "batch": st.none() | st.integers(),
    "topic": st.none() | ANY_TEXT,
    "server": st.none() | ANY_TEXT,
}
ERRORS: st.SearchStrategy[FrameferryError] = st.one_of(
    st.builds(TopicMissing, ANY_TEXT, remedy=ANY_TEXT, **COORDINATES),
    st.builds(FtpUnavailable, ANY_TEXT, remedy=ANY_TEXT, **COORDINATES),
    st.builds(BatchTooBig, ANY_TEXT, partition=st.integers(), offset=st.integers()),
)


@given(error=ERRORS, before=st.text(), behind=st.text())
def test_an_error_is_found_in_any_text_as_it_was_raised(
    error: FrameferryError, before: str, behind: str
) -> None:
    found = crossed(f"{before}\n{WorkerError(error)}{behind}")
    assert found is not None
    assert (type(error), error.content()) == (type(found), found.content())


@given(error=ERRORS)
def test_an_error_can_be_pickled_as_it_was_raised(error: FrameferryError) -> None:
    twin = pickle.loads(pickle.dumps(error))
    assert (type(error), error.content()) == (type(twin), twin.content())
