"""The flags of a conversion, kept beside its tables: to add to them (`--append`), to convert another log alike
(`--mapping`), and to know what the shop itself calls the columns of the contract. [O]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import yaml

from prectr.data.converters.arguments.command import MAPPING, Conversion
from prectr.data.converters.arguments.features import FeatureArguments
from prectr.data.converters.arguments.logs import EventArguments, PageArguments
from prectr.data.converters.arguments.table import TableArguments
from prectr.data.converters.events.happening import Tool
from prectr.shared.atomic import atomic_write

_LEFT_OUT = ("name", "artifacts", "append")


def keep_mapping(work: Path, conversion: Conversion) -> None:
    """Write the flags as `--mapping` reads them."""
    flags = {name: value for each in conversion.settings.values() for name, value in asdict(each).items()}
    kept = {name: value for name, value in flags.items() if name not in _LEFT_OUT}
    with atomic_write(work / MAPPING) as temporary:
        text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, default_flow_style=None)
        temporary.write_text(f"# of python -m data convert {conversion.kind}\n{text}", encoding="utf-8")


def own_names(conversion: Conversion, tool: Tool | None) -> dict[str, list[str]]:
    """What the shop calls the columns of the contract: column -> names or paths, in the order in which they count.

    Args:
        tool: of a stream of events, what it calls things where no flag says.
    """
    settings = conversion.settings
    features: FeatureArguments | None = settings.get(FeatureArguments)
    names: dict[str, list[str]] = {}
    if table := settings.get(TableArguments):
        names = _of_table(table)
    elif pages := settings.get(PageArguments):
        names = _of_pages(pages)
    elif tool is not None:
        events: EventArguments = settings[EventArguments]
        names = {
            "user_id": list(events.user or tool.users),
            "text": list(events.item or (["title"] if events.items else tool.text)),
            "category": [events.category or ("" if events.items else tool.category)],
            **({"item_id": [events.items_id]} if events.items else {}),
        }
    own = {column: [name] for column, name in features.features.items()} if features else {}
    return _said(names) | own


def _of_table(table: TableArguments) -> dict[str, list[str]]:
    single = ("query", "item_id", "timestamp", "position", "category", "query_category", "level")
    renamed = {"text": table.item, "user_id": [table.user], "page_id": [table.page]}
    return renamed | {name: [getattr(table, name)] for name in single}


def _of_pages(pages: PageArguments) -> dict[str, list[str]]:
    return {
        "query": [pages.query],
        "timestamp": [pages.timestamp],
        "user_id": pages.user or ["user", "session"],
        "item_id": [pages.result_id],
        "text": pages.result_text or ["text"],
        "category": [pages.result_category],
    }


def _said(names: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {column: kept for column, of in names.items() if (kept := [name for name in of if name])}
