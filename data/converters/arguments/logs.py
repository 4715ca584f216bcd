"""Flags of logs of result pages and of events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from prectr.data.converters.arguments.common import columns


@dataclass
class EventArguments:
    """Where the items are, and which actions count."""

    items: list[str] = columns("files of the items: CSV, TSV, JSON, JSON lines or Parquet; empty: the log has texts")
    items_id: str = field(default="id", metadata={"help": "column of the id in them, as the log says it"})
    item: list[str] = columns("columns of an item's text, of those files or of a result; else what the tool calls it")
    category: str = field(default="", metadata={"help": "column of an item's category, likewise"})
    user: list[str] = columns("keys that may hold the user, the first that does counts; else those of the tool")
    click_actions: list[str] = columns("events that are clicks on a result; else those of the tool")
    other_actions: list[str] = columns("events that count besides; else those of the tool")
    lists: list[str] = columns("names of the item lists that are results (ga4); empty: all after a search")
    search_id: str = field(default="", metadata={"help": "parameter that holds the query's id (solr)"})


@dataclass
class PageArguments:
    """Names of the keys."""

    user: list[str] = columns(
        "keys that may hold the user, the first that does counts; user and session if none is named"
    )
    page: str = field(default="", metadata={"help": "the page's (or query's) id, which clicks in other files name"})
    query: str = field(default="query", metadata={"help": "what was searched for"})
    timestamp: str = field(default="timestamp", metadata={"help": "when"})
    results: str = field(default="results", metadata={"help": "the list of results, in the order shown"})
    result_id: str = field(default="id", metadata={"help": "the id, in a result"})
    result_text: list[str] = columns("the text, in a result, of one key or several; text if none is named")
    result_category: str = field(default="category", metadata={"help": "the category, in a result, where it has one"})
    clicks: str = field(default="clicks", metadata={"help": "the list of clicked ranks"})
    clicks_are: Literal["auto", "ranks", "flags"] = field(
        default="auto",
        metadata={
            "help": "ranks that were clicked, or flags: 0 or 1 of every result; auto: ranks, if it cannot be both"
        },
    )
    first_rank: int = field(default=1, metadata={"help": "rank of the first result: 1 or 0"})
