"""White space and Unicode composition of texts: what looks the same is the same. [O]

`red shoe` with a tab before it, a no-break space in it or a line end behind it is one query, and so is `café` with one
code point for é or two. Case, accents and compatibility forms are left as they are: they are written to be seen.
"""

from __future__ import annotations

import re
import unicodedata

_SPACE = r"[\s\x1c-\x1f\x85\u00a0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
_INVISIBLE = r"[\u200b\u2060\ufeff\u0000]"
"""Zero-width space, word joiner, byte-order mark and NUL mean nothing; joiners of letters and emoji do, and stay."""

_SPACES, _NOTHINGS = re.compile(_SPACE), re.compile(_INVISIBLE)


def plain_text(text: str) -> str:
    """The text with single blanks between its words, none at its ends, and characters composed (NFC).

    Example:
        >>> plain_text("\\tred\\u00a0 shoe\\n")
        'red shoe'
    """
    return _SPACES.sub(" ", _NOTHINGS.sub("", unicodedata.normalize("NFC", text))).strip(" ")


def plain_sql(column: str) -> str:
    """SQL (DuckDB) for `plain_text` of a column."""
    composed = f"nfc_normalize({column})"
    visible = f"regexp_replace({composed}, '[\\x{{200b}}\\x{{2060}}\\x{{feff}}\\x{{0}}]', '', 'g')"
    space = r"[\s\x0b\x1c-\x1f\x{85}\x{180e}\x{2028}\x{2029}\p{Zs}]+"
    return f"trim(regexp_replace({visible}, '{space}', ' ', 'g'))"
