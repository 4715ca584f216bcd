"""Solr's request log, with the clicks in files of their own.

    python -m data convert solr solr.log --name mine --search_id qid --user params.uid --items products.csv --item name
        --click_files clicks.csv --click_page qid --click_item sku

Of every `/select` request the time and the parameters are read: `q` is what was searched for. Solr does not log what it
returned, so it is a log of clicks alone, and skipped items are sampled. A click names the request's id, a parameter of
its own that the application sends (--search_id), or else its user (--click_user, --click_timestamp).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.happening import SEARCH, Happening, Tool
from prectr.data.converters.reading.objects import Objects
from prectr.data.converters.reading.readers import Lines

_REQUEST = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:[.,]\d+)?(Z?)\b.*\bpath=/select params=\{(.*?)\} ")
_ALL = "*:*"
"""What stands for no words."""


def parse(path: Path, text: IO[str]) -> Objects:
    """The requests of a log: `time` and `params`; all other lines are passed over."""
    for number, line in enumerate(Lines(path, text), 1):
        if request := _REQUEST.search(line):
            yield number, {"time": request[1] + request[2], "params": dict(parse_qsl(request[3]))}


def happenings(found: dict[str, Any], arguments: EventArguments) -> Iterator[Happening]:
    """The search; a request for further rows is the same one again, and nothing new."""
    params = found["params"]
    query = params.get("q")
    page = params.get(arguments.search_id) if arguments.search_id else None
    if query and query != _ALL and params.get("start", "0") == "0":
        yield Happening(SEARCH, found, [], found["time"], query, page)


TOOL = Tool(happenings, users=("params.user_id", "params.uid", "params.user"), clicks=(), parser=parse)
