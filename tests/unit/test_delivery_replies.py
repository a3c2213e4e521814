from __future__ import annotations

import pytest

from frameferry.errors import DeliveryRefused, FtpCrowded, FtpUnavailable
from frameferry.ftp.replies import (
    Reply,
    raise_for_login,
    raise_if_transient,
    raise_unless_record,
)


def said(text: str) -> Reply:
    return Reply(int(text[:3]), text)


@pytest.mark.parametrize(
    "text",
    [
        "421 Too many connections, try later",
        "421 anything",
        "530 Sorry, the maximum number of clients (3) from your host are already connected.",
        "530 Only 2 sessions per user allowed",
        "530 Server is overloaded",
        "530 Please try again later",
        "530 Access denied: too many connections",
    ],
)
def test_a_crowded_server_is_known_by_code_or_words(text: str) -> None:
    assert said(text).is_crowded
    with pytest.raises(FtpCrowded):
        raise_for_login(said(text))


@pytest.mark.parametrize(
    "text",
    [
        "530 Login incorrect.",
        "530 Authentication failed.",
        "430 Invalid user or password",
        "530 Login incorrect. Please try again later.",
    ],
)
def test_a_wrong_password_is_not_taken_for_a_crowd_nor_for_a_passing_trouble(text: str) -> None:
    assert not said(text).is_crowded
    raise_for_login(said(text))


def test_a_passing_trouble_at_login_is_not_tried_again_by_itself() -> None:
    with pytest.raises(FtpUnavailable) as caught:
        raise_for_login(said("451 Local error in processing"))
    assert caught.value.phase == "login"


@pytest.mark.parametrize(
    "text",
    [
        "421 Timeout.",
        "425 Unable to build data connection: Operation not permitted",
        "426 Connection closed; transfer aborted.",
        "450 busy",
        "451 Error - disk full or quota exceeded?",
        "452 No space left on device",
        "503 Bad sequence of commands: use RNFR first.",
        "550 There is not enough space on the disk.",
        "226 what?",
    ],
)
def test_what_may_pass_is_unavailable(text: str) -> None:
    with pytest.raises(FtpUnavailable):
        raise_unless_record("upload", said(text))


@pytest.mark.parametrize(
    "text",
    [
        "500 Unknown command",
        "502 Command not implemented",
        "522 SSL connection failed: session reuse required",
        "530 Please login with USER and PASS.",
        "532 Need account for storing files",
        "534 Request denied for policy reasons",
        "552 Quota exceeded",
    ],
)
def test_what_concerns_every_file_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(DeliveryRefused) as caught:
        raise_unless_record("upload", said(text))
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "550 Permission denied.",
        "553 Prohibited file name",
        "501 Invalid characters",
        "451 Rename/move failure: Is a directory",
    ],
)
def test_what_may_be_the_records_own_fault_is_left_to_the_probe(text: str) -> None:
    raise_unless_record("upload", said(text))


def test_a_missing_data_connection_says_so() -> None:
    with pytest.raises(FtpUnavailable) as caught:
        raise_unless_record("upload", said("425 Can't open data connection."))
    assert caught.value.phase == "data connection"


@pytest.mark.parametrize("text", ["150 go on", "350 and now?", "450 later"])
def test_neither_yes_nor_no_is_transient(text: str) -> None:
    with pytest.raises(FtpUnavailable):
        raise_if_transient("SIZE", said(text))


@pytest.mark.parametrize("text", ["213 12", "550 no such file"])
def test_yes_and_no_are_answers(text: str) -> None:
    raise_if_transient("SIZE", said(text))


def test_the_words_are_one_short_line() -> None:
    assert said("550-a\n  b\n550 c").words == "550-a b 550 c"
    assert len(said("550 " + "x" * 5000).words) == 200
