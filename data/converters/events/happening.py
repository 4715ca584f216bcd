"""What a tool's log says happened, in the same words for every tool. [O]"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.reading.objects import Parser

SEARCH, IMPRESSION = "search", "impression"
"""What tools call otherwise: a search with what it returned, and what of it came into view."""


@dataclass(frozen=True)
class Happening:
    """A search, or what was done to items.

    Attributes:
        action: `SEARCH`, `IMPRESSION`, or the tool's own name of what was done.
        whole: the object in which users and contexts are looked up.
        items: id and attributes of what was returned, in that order, or of what it was done to.
        query: as it was typed; None where the log says it elsewhere: of a list the user's last search, of an event its
            search.
        page: id of the search, where events name it. place: of the first result, from 0.
        screen: what a search and a list shown for it share, such as the address.
    """

    action: str
    whole: Mapping[str, Any]
    items: Sequence[tuple[Any, Mapping[str, Any]]]
    timestamp: Any
    query: Any = None
    page: Any = None
    place: int = 0
    screen: Any = None


@dataclass(frozen=True)
class Tool:
    """How a tool logs.

    Attributes:
        happenings: what an object of its log says happened.
        users: paths that may hold the user, the first that does counts.
        clicks: actions that are clicks on a result. others: actions that count besides.
        text, category: paths in a result of what people read, and of its category, where results hold them.
        parser: of logs that are no JSON.
    """

    happenings: Callable[[dict[str, Any], EventArguments], Iterator[Happening]]
    users: Sequence[str]
    clicks: Sequence[str]
    others: Sequence[str] = ()
    text: Sequence[str] = ()
    category: str = ""
    parser: Parser | None = None


class OddObjectError(Exception):
    """What an object may not say: at which key, what was found and what to do."""

    def __init__(self, key: str, said: str) -> None:
        super().__init__(said)
        self.key = key


def pairs(results: Any, key: str) -> list[tuple[Any, Mapping[str, Any]]]:
    """Id and attributes of each object of a list; nothing where it is none."""
    found = results if isinstance(results, list) else []
    return [(_at(each, key), each) for each in found if isinstance(each, dict)]


def _at(found: Any, key: str) -> Any:
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
