"""What rules a service: its limits, its keys, and what it says the time is."""

import os
from dataclasses import dataclass, field

READ_KEYS, ADMIN_KEYS = "PRECTR_API_KEYS", "PRECTR_ADMIN_KEYS"
"""Environment variables; each holds one or more keys, separated by commas."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Settings:
    """Limits of a service.

    Attributes:
        most_bytes: of a body. most_candidates: of one page. most_characters: of one text, query or id.
        most_events: in one request. most_waiting: requests that wait for the ranker; one more is answered 503.
        retry_after: seconds after which such a caller should come back.
        read_keys: whoever has one may ask and send events; empty: everybody. admin_keys: whoever has one may change
            the catalogue, erase users and reload; empty: nobody.
        hosts: names the service answers to, against pages that have their name point here; empty: any.
        ahead: seconds by which the present is ahead of this machine's clock: below 0 for a demonstration on old data.
        share: of the shoppers whose pages go to the challenger, where there is one. interleaved: half of each does.
    """

    most_bytes: int = 2_000_000
    most_candidates: int = 1_000
    most_characters: int = 2_000
    most_events: int = 5_000
    most_waiting: int = 64
    retry_after: int = 1
    read_keys: tuple[str, ...] = field(default=(), repr=False)
    admin_keys: tuple[str, ...] = field(default=(), repr=False)
    hosts: tuple[str, ...] = ()
    ahead: float = 0.0
    share: float = 0.1
    interleaved: bool = False


def keys_of(variable: str) -> tuple[str, ...]:
    """The keys that an environment variable holds."""
    return tuple(key for key in map(str.strip, os.environ.get(variable, "").split(",")) if key)
