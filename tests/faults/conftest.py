"""The site that whole plants are built on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import astuple

import pytest
import structlog
from fixtures.counting_ftp import CountingFtp, counting_ftp
from fixtures.ledgers import DATABASES, fresh_database
from fixtures.plant import Site, open_site, quick_folder

from frameferry.delivery.rounds import RetryPolicy
from frameferry.pipeline.deliver import grouping


@pytest.fixture(scope="session")
def counting() -> Iterator[CountingFtp]:
    with quick_folder() as folder, counting_ftp(folder / "ftp") as server:
        yield server


@pytest.fixture(scope="module", params=DATABASES)
def site(request: pytest.FixtureRequest, counting: CountingFtp) -> Iterator[Site]:
    """A ledger for all plants of a module, on each database."""
    with (
        quick_folder() as folder,
        fresh_database(request, request.param, folder) as url,
        open_site(url, counting) as opened,
    ):
        yield opened


@pytest.fixture(scope="module")
def sqlite_site(request: pytest.FixtureRequest, counting: CountingFtp) -> Iterator[Site]:
    """A ledger for all plants of a module, on the quicker database."""
    with (
        quick_folder() as folder,
        fresh_database(request, "sqlite", folder) as url,
        open_site(url, counting) as opened,
    ):
        yield opened


@pytest.fixture
def own_site(request: pytest.FixtureRequest, counting: CountingFtp) -> Iterator[Site]:
    """A ledger of a test's own, with which it may do what it likes."""
    with (
        quick_folder() as folder,
        fresh_database(request, "sqlite", folder) as url,
        open_site(url, counting) as opened,
    ):
        yield opened


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tell whoever reads the run what was covered, also where all is well."""
    return functools.partial(record_property, "said")


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish two files at a time, so that a batch has several groups."""
    monkeypatch.setattr(grouping, "GROUP_RECORDS", 2)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let FTP clients give up in a moment: the server never has trouble of its own here.

    Set where the defaults are, not in a module that uses them: one that was missed would wait on.
    """
    quick = RetryPolicy(tries=3, first_seconds=0.001, most_seconds=0.002)
    monkeypatch.setattr(RetryPolicy.__init__, "__defaults__", astuple(quick))
    assert quick == RetryPolicy()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of runs need no log of their own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()
