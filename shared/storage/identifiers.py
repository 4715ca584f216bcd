"""Columns that tell who somebody is: their values become a model's vocabulary, and must not leave with it. [O]

A context of a page is meant to be shared by many, as a weekday or a device is. A session, a person's address or a
household's number is not: with a ranker that knows such values, whoever holds it can ask who was here.
"""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_interface
from pathlib import Path
from urllib.parse import unquote

import pyarrow.parquet as pq

from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import identifier, out_of_core, parquet

LEAST_ROWS = 5
"""How often a value must occur to be in a vocabulary, and how many such values make a column."""

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@.]{2,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_TOKEN = re.compile(r"(?=(.*?([a-zA-Z]\d|\d[a-zA-Z])){3})[\w+/=-]{16,}")
_TELEPHONE = re.compile(r"(\+|00)\d[\d ()/.-]{6,18}\d")
_PATH = re.compile(r"(https?|file)://\S+|/(home|Users|root)/\S+|[A-Za-z]:\\Users\\\S+")
_BEHIND = re.compile(r"\[(.+)\](:\d{1,5})?|([\d.]+):\d{1,5}")
"""An address of a network with a port, or in brackets."""

_HARDWARE = re.compile(r"([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}|(\d{1,3}\.){3}\d{1,3}")
"""Of a network card; or of a network with zeros ahead, which Python takes for octal."""


def fault_of_values(values: Iterable[str]) -> str | None:
    """What the values of a column look like, where they look like somebody; None: like a kind of thing.

    One e-mail address is enough; of network addresses, telephone numbers, paths, UUIDs and random tokens (16 signs or
    more without a blank, with letters among digits) it takes half of the values.

    Example:
        >>> fault_of_values(["Monday", "Tuesday"])
        >>> fault_of_values(["Monday", "jane@example.org"])
        'an e-mail address'
    """
    found = [_plain(value) for value in values]
    if any(_ADDRESS.search(value) for value in found):
        return "an e-mail address"
    kinds: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("network addresses", _is_network),
        ("telephone numbers", _TELEPHONE.fullmatch),
        ("paths or addresses of the web", _PATH.fullmatch),
        ("session ids", _UUID.fullmatch),
        ("session ids", _TOKEN.fullmatch),
    )
    for kind, looks_so in kinds:
        if found and 2 * sum(bool(looks_so(value)) for value in found) >= len(found):
            return kind
    return None


def _plain(value: str) -> str:
    """As it would be read: jane%40example.org and ｊａｎｅ＠example．org are addresses too."""
    return unquote(unicodedata.normalize("NFKC", value)).strip()


def _is_network(value: str) -> bool:
    """An address of IPv4 or IPv6 in any spelling, also with a port or of a whole network; or that of a network card."""
    behind = _BEHIND.fullmatch(value)
    try:
        ip_interface((behind[1] or behind[3]) if behind else value)
    except ValueError:
        return bool(_HARDWARE.fullmatch(value))
    return True


def fault_of_users(table: Path, column: str) -> str | None:
    """Whether a column of a table of impressions is nearly a user's own: more than half of the values that occur
    `LEAST_ROWS` times in training rows, and at least `LEAST_ROWS` values, occur with one user alone; of pages without a
    user each counts as one.

    Raises:
        PrectrError: the table cannot be read.
    """
    has_users = "user_id" in pq.read_schema(table).names
    who = "coalesce('user ' || user_id, 'page ' || page_id)" if has_users else "page_id"
    with (
        tempfile.TemporaryDirectory(prefix="prectr-") as spill,
        out_of_core(Path(spill), [table.parent]) as database,
    ):
        [(values, lone)] = database.execute(
            f"SELECT count(*), count(*) FILTER (users = 1) FROM (SELECT count(DISTINCT {who}) AS users "
            f"FROM {parquet(table)} WHERE split = 'train' AND {identifier(column)} IS NOT NULL "
            f"GROUP BY {identifier(column)} HAVING count(*) >= {LEAST_ROWS})"
        ).fetchall()
    if lone < LEAST_ROWS or 2 * lone <= values:
        return None
    return f"values of which {lone:,} of {values:,} belong to one {'user' if has_users else 'page'} alone"


def require_shared(where: Path, column: str, values: Sequence[str], impressions: Path | None) -> None:
    """Raises `PrectrError` where a column looks like an identifier.

    Args:
        where: the file that would be published. values: what it holds of the column.
        impressions: the table of which it is a column; None: it describes items, or there is no log.
    """
    fault = fault_of_values(values) or (
        fault_of_users(impressions, column) if impressions is not None and values else None
    )
    if fault is not None:
        raise PrectrError(
            f"{where}: column {column!r} holds {fault}, so it may tell who somebody is and is not published: leave the "
            f"column out of the data, or write what many share in its place, and train again."
        )
