"""Which optional columns the training tables had: a scored page is given the same."""

from dataclasses import dataclass

import pyarrow as pa

from prectr.rank.history.log import BehaviourLog


@dataclass
class Columns:
    """The optional columns of a ranker's training tables.

    Attributes:
        items: attributes of items (`cat_*`, `num_*`). context: context of impressions (`ctx_*`).
        matched: the attributes whose past clicks are counted (`BehaviourLog.item_groups`).
    """

    items: list[str]
    context: list[str]
    matched: list[str]

    @classmethod
    def of(cls, items: pa.Table, impressions: pa.Table, log: BehaviourLog) -> "Columns":
        return cls(
            [name for name in items.column_names if name.startswith(("cat_", "num_"))],
            [name for name in impressions.column_names if name.startswith("ctx_")],
            list(log.item_groups),
        )
