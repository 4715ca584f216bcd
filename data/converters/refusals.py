"""What is wrong with the values of a source, all of it at once: whoever exports a log again wants to do it once. [O]

Each kind of value is looked at as it will be read: numbers, times, clicks, places, splits and labels. Messages name the
file, the column as the file calls it, the first row and how many more.
"""

from __future__ import annotations

from functools import partial

from prectr.data.converters.arguments.common import LevelArguments, LogArguments
from prectr.data.converters.catalogue import check_numbers
from prectr.data.converters.judgements import check_labels, check_splits
from prectr.data.converters.levels import LevelRule
from prectr.data.converters.log import check_positions
from prectr.data.converters.staging import Settings, Staging
from prectr.data.converters.times import add_seconds, add_truths


def check_values(staging: Staging, source: str, settings: Settings, rule: LevelRule | None) -> None:
    """Look at every value of the views `items_in`, `judged_in` and `shown_in` that is more than a text.

    Args:
        source: what was read, for messages. rule: of the levels, where the format knows it.

    Raises:
        PrectrError: values that cannot be read; one sentence where it is one column, else one line for each.
    """
    views = {row[0] for row in staging.rows("SELECT view_name FROM duckdb_views()")}
    times = settings[LogArguments].times if "shown_in" in views else "auto"
    for view in ("items_in", "shown_in"):
        if view not in views:
            continue
        check_numbers(staging, view, source)
        if "timestamp" in staging.columns(view):
            staging.collect(partial(add_seconds, staging, view, "timestamp", source, times))
    if "shown_in" in views:
        if "clicked" in staging.columns("shown_in"):
            staging.collect(partial(add_truths, staging, "shown_in", "clicked", source))
        staging.collect(partial(check_positions, staging, source))
    if "judged_in" in views:
        staging.collect(partial(check_splits, staging, source))
        staging.collect(partial(check_labels, staging, source, rule or settings[LevelArguments].rule))
    staging.raise_refusals()
