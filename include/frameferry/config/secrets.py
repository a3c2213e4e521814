"""What is secret among a connection's options, and how it is kept out of texts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

_SECRET_WORDS = (
    *("password", "passphrase", "secret", "credential", "jaas", "token", "key"),
    # librdkafka's word for what a log-in by OAuth is given, claims and all.
    "oauthbearer.config",
)
STRUCK = "***"


def is_secret_option(name: str) -> bool:
    """Say whether an option's value must never be shown."""
    return any(word in name.lower() for word in _SECRET_WORDS)


def struck(text: str, secrets: Iterable[str]) -> str:
    """Strike secrets out of a text, also as JSON, Python and URLs spell them."""
    for secret in filter(None, secrets):
        spellings = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")}
        # The longest first: one may be the beginning of another.
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, STRUCK)
    return text
