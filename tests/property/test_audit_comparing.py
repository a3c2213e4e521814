"""What an audit concludes from lists, names and rows is what a naive comparison says."""

from __future__ import annotations

import hashlib
import random
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameferry.domain.audit import AuditedRow, CountedRange, Kind, Span
from frameferry.ftp.listing import RemoteFile
from frameferry.operations.audit import comparing, inventory
from frameferry.operations.audit.answering import PROBED, Answers
from frameferry.operations.audit.collecting import Collector
from frameferry.operations.audit.comparing import Comparison, Place, Sampler
from frameferry.operations.audit.inventory import Inventory

HERE = "ftp://ferry@archive:21"
WORDS = st.sampled_from(["a", "b", "c", "도구", "x y", "Z"])
PATHS = st.builds(lambda folder, name: f"/base/{folder}/{name}", WORDS, WORDS)


def row(offset: int, path: str, size: int, outcome: str | None = "delivered") -> AuditedRow:
    return AuditedRow(1, 0, offset, 0, HERE, path, size, "s", outcome, "p.part", False)


@contextmanager
def opened() -> Iterator[Inventory]:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Inventory(Path(folder))) as made,
    ):
        yield made


@given(
    rows=st.dictionaries(PATHS, st.integers(0, 3)),
    there=st.dictionaries(PATHS, st.integers(0, 3)),
    hidden=st.sets(PATHS),
    silent=st.sets(PATHS),
    is_taken=st.booleans(),
    chunk=st.integers(1, 5),
)
@settings(max_examples=150)
def test_a_comparison_says_what_a_naive_one_says(
    rows: dict[str, int],
    there: dict[str, int],
    hidden: set[str],
    silent: set[str],
    is_taken: bool,
    chunk: int,
) -> None:
    """`there` is the truth; lists leave out what is hidden, and no clear answer comes for some."""

    def ask(paths: Sequence[str]) -> dict[str, int | None]:
        return {path: there.get(path) for path in paths if path not in silent}

    expected = Counter(
        naive(size, there.get(path), path not in hidden, path not in silent, is_taken)
        for path, size in rows.items()
    )
    del expected[None]
    found = Collector()
    with opened() as shown:
        shown.add(RemoteFile(path, size) for path, size in there.items() if path not in hidden)
        comparison = Comparison(
            shown, ask, Place(HERE, "/base", is_taken), found, Sampler(99, random.Random(0))
        )
        listed = [row(at, path, size) for at, (path, size) in enumerate(rows.items())]
        for start in range(0, len(listed), chunk):
            comparison.meet(listed[start : start + chunk])
        left = [one.path for some in shown.unknown() for one in some]
    assert expected == Counter({kind: found.count(kind) for kind in Kind if found.count(kind)})
    assert sorted(there.keys() - hidden - rows.keys()) == left
    assert sum(comparison.hidden.values()) == (
        0
        if is_taken
        else sum(
            there.get(path) == size and path in hidden and path not in silent
            for path, size in rows.items()
        )
    )
    whole = {path for path, size in rows.items() if there.get(path) == size}
    assert {one.path for one in comparison.sampler.drawn} <= whole


def naive(
    size: int, there: int | None, is_listed: bool, is_told: bool, is_taken: bool
) -> Kind | None:
    """Say what is wrong with one file, if anything is."""
    is_shown = there is not None and is_listed
    if is_shown and there == size:
        return None
    if not is_shown and is_taken:
        return Kind.taken
    if not is_told:
        return Kind.unasked
    if there is None:
        return Kind.missing
    return None if there == size else Kind.wrong_size


@given(
    has_record=st.lists(st.booleans(), min_size=1, max_size=40),
    lost=st.sets(st.integers(0, 39), max_size=4),
    gap=st.tuples(st.integers(0, 39), st.integers(0, 39)),
    cuts=st.sets(st.integers(1, 39)),
    low=st.integers(0, 45),
    chunk=st.integers(1, 7),
    pruned=st.integers(0, 5),
)
@settings(max_examples=200)
def test_answers_are_followed_as_a_naive_count_says(
    *,
    has_record: list[bool],
    lost: set[int],
    gap: tuple[int, int],
    cuts: set[int],
    low: int,
    chunk: int,
    pruned: int,
) -> None:
    """Ranges tile the offsets outside of one gap; some rows are lost, and one range was pruned."""
    end = len(has_record)
    first, last = sorted(min(edge, end) for edge in gap)
    edges = sorted({0, end, first, last, *(cut for cut in cuts if cut < end)})
    ranges = [
        counted(at, start, stop, has_record, is_pruned=at == pruned)
        for at, (start, stop) in enumerate(pairwise(edges))
        if not first <= start < last
    ]
    gone = lost | {at for one in ranges if one.is_pruned for at in range(one.start, one.end)}
    standing = [
        at for at in range(end) if has_record[at] and at not in gone and not first <= at < last
    ]
    found = Collector()
    answers = Answers(
        Span(1, 0, 0, end),
        ranges,
        [(first, last)] if first < last else [],
        found,
        low=low,
        chance=random.Random(0),
    )
    rows = [row(at, f"/base/{at}", 1) for at in standing]
    for start in range(0, len(rows), chunk):
        answers.meet(rows[start : start + chunk])
    answers.end()
    miscounted = sum(
        not one.is_pruned
        and [at for at in range(one.start, one.end) if has_record[at]]
        != [at for at in standing if one.start <= at < one.end]
        for one in ranges
    )
    expected = [
        at
        for one in ranges
        if not one.is_pruned
        for at in range(max(low, one.start), one.end)
        if at not in standing
    ]
    assert miscounted == found.count(Kind.miscounted)
    assert len(expected) == found.count(Kind.rowless)
    assert 0 == found.count(Kind.unanswered)
    drawn = [at for one in answers.rowless for at in range(one.start, one.end)]
    assert set(drawn) <= set(expected)
    assert len(answers.rowless) <= PROBED
    if len(answers.rowless) < PROBED:
        assert sorted(expected) == sorted(drawn)


def counted(
    number: int, start: int, stop: int, has_record: list[bool], *, is_pruned: bool
) -> CountedRange:
    held = [at for at in range(start, stop) if has_record[at]]
    digest = hashlib.sha256("".join(f"{at}\n" for at in held).encode()).hexdigest()
    return CountedRange(number, 0, start, stop, start, len(held), digest, is_pruned)


@given(
    covered=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6),
    start=st.integers(0, 10),
    committed=st.integers(0, 35),
)
def test_what_no_batch_or_gap_covers_is_unanswered(
    covered: list[tuple[int, int]], start: int, committed: int
) -> None:
    stretches = [(min(pair), max(pair)) for pair in covered if pair[0] != pair[1]]
    found = Collector()
    Answers(Span(1, 0, start, committed), [], stretches, found, low=None, chance=random.Random(0))
    lacking = [
        at for at in range(start, committed) if not any(low <= at < end for low, end in stretches)
    ]
    assert len(lacking) == found.count(Kind.unanswered)


def test_memory_does_not_grow_with_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five times the files in one folder, all of them expected, in no more memory."""
    monkeypatch.setattr(inventory, "_CHUNK", 1_000)
    first, second = (peak_bytes(number) for number in (10_000, 50_000))
    assert second < first * 1.2
    assert second < 5 * 10**6


def peak_bytes(number: int) -> int:
    found = Collector()
    with opened() as shown:
        tracemalloc.start()
        try:
            shown.add(RemoteFile(f"/base/day/picture_{at}.jpg", at) for at in range(number))
            comparison = Comparison(
                shown, lambda _: {}, Place(HERE, "/base", False), found, sampler()
            )
            for start in range(0, number, 1_000):
                comparison.meet(
                    [
                        row(at, f"/base/day/picture_{at}.jpg", at)
                        for at in range(start, start + 1_000)
                    ]
                )
            assert [] == list(shown.unknown())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def sampler() -> Sampler:
    return Sampler(10, random.Random(0))


def test_no_more_files_are_asked_for_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "MAX_ASKED", 30)
    asked: list[str] = []

    def ask(paths: Sequence[str]) -> dict[str, int | None]:
        asked.extend(paths)
        return dict.fromkeys(paths)

    found = Collector()
    with opened() as shown:
        comparison = Comparison(shown, ask, Place(HERE, "/base", False), found, sampler())
        for start in range(0, 100, 20):
            comparison.meet([row(at, f"/base/{at}", 1) for at in range(start, start + 20)])
    assert 30 == len(asked) == found.count(Kind.missing)
    assert 70 == found.count(Kind.unasked)
