"""Flags of the formats that public data sets are published in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from prectr.data.converters.arguments.common import columns


@dataclass
class EsciArguments:
    """Which part of it, and what of a product is its text."""

    locale: Literal["us", "es", "jp", "all"] = field(
        default="us", metadata={"help": "whose queries and products; all: item ids then begin with the locale"}
    )
    version: Literal["small", "large", "all"] = field(
        default="all",
        metadata={"help": "small: the harder queries of the ranking task; large: those of the other tasks"},
    )
    item: list[str] = columns("product columns that make its text; product_title if none is named")


@dataclass
class WandsArguments:
    """What of a product is its text."""

    item: list[str] = columns("product columns that make its text; product_name if none is named")
