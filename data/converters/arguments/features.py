"""Flags that name what is known of an item or a showing besides its text; they become features."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prectr.data.converters.arguments.common import columns
from prectr.shared.errors import PrectrError


@dataclass
class FeatureArguments:
    """What is known besides; in JSON a name is looked for in the result, then in all of the object."""

    item_numeric: list[str] = columns("columns of an item's numbers, which become num_*")
    item_categorical: list[str] = columns("columns of an item's other attributes, which become cat_*")
    context_numeric: list[str] = columns("columns of a showing's numbers, which become ctx_num_*")
    context_categorical: list[str] = columns("columns of a showing's other attributes, which become ctx_cat_*")

    def __post_init__(self) -> None:
        _ = self.features

    @property
    def of_items(self) -> dict[str, str]:
        """Those of items: name in the contract -> name in the source."""
        return {name: source for name, source in self.features.items() if not name.startswith("ctx_")}

    @property
    def of_showings(self) -> dict[str, str]:
        """Those of showings, likewise."""
        return {name: source for name, source in self.features.items() if name.startswith("ctx_")}

    @property
    def numbers(self) -> list[str]:
        """Those that are numbers, by their names in the contract."""
        return [name for name in self.features if name.startswith(("num_", "ctx_num_"))]

    @property
    def features(self) -> dict[str, str]:
        """The features' columns: name in the contract -> name in the source."""
        found: dict[str, str] = {}
        for prefix, names in (
            ("num_", self.item_numeric),
            ("cat_", self.item_categorical),
            ("ctx_num_", self.context_numeric),
            ("ctx_cat_", self.context_categorical),
        ):
            for name in names:
                column = prefix + re.sub(r"\W+", "_", name).strip("_").lower()
                if column in found:
                    raise PrectrError(
                        f"columns {found[column]!r} and {name!r} would both be {column}: rename one of them."
                    )
                found[column] = name
        return found
