"""Whether the values of a column point at people: what must not leave this machine inside a model. [O]"""

import re
from collections.abc import Sequence

_HEX = r"[0-9a-f]"
ADDRESSES = {
    "e-mail addresses": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "IP addresses": re.compile(rf"(\d{{1,3}}\.){{3}}\d{{1,3}}(:\d+)?|(?=(?:.*:){{2}}){_HEX}*(:{_HEX}*){{2,7}}", re.I),
    "identifiers": re.compile(
        rf"\{{?{_HEX}{{8}}-?({_HEX}{{4}}-?){{3}}{_HEX}{{12}}\}}?|{_HEX}{{40}}|{_HEX}{{64}}", re.I
    ),
    "telephone numbers": re.compile(r"(\+|00)\d[\d ()/.-]{6,18}\d"),
    "paths or addresses of the web": re.compile(r"(https?|file)://\S+|/(home|Users|root)/\S+|[A-Za-z]:\\Users\\\S+"),
}
LEAST_SHARE = 0.05
"""Of a vocabulary's values that look like one kind; a brand may be called `a@b.c`, one in twenty is no chance."""


def names_people(values: Sequence[str]) -> str:
    """What a vocabulary holds that points at people, as the rest of a sentence; empty if nothing is found.

    Example:
        >>> names_people(["ann@example.org", "bob@example.org"])
        'holds e-mail addresses'
    """
    for kind, pattern in ADDRESSES.items():
        found = sum(bool(pattern.fullmatch(value.strip())) for value in values)
        if found and found >= LEAST_SHARE * len(values):
            return f"holds {kind}"
    return ""
