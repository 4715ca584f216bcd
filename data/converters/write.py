"""Writes every table that a format's views allow, checks them, and keeps what was told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from prectr.data import report
from prectr.data.checks.validate import validate
from prectr.data.converters.arguments.common import LevelArguments, LogArguments, NameArguments, SplitArguments
from prectr.data.converters.catalogue import make_items, write_items
from prectr.data.converters.judgements import make_judged, make_unlabelled, write_pairs
from prectr.data.converters.levels import DEFAULT_NAMES, LevelRule
from prectr.data.converters.log import make_log, make_unlabelled_of_log, write_log
from prectr.data.converters.refusals import check_values
from prectr.data.converters.staging import Settings, Staging
from prectr.shared.atomic import atomic_write


def write_tables(staging: Staging, source: str, settings: Settings, rule: LevelRule | None = None) -> str:
    """Write every table that the views `items_in`, `judged_in`, `shown_in` and `events_in` allow.

    Args:
        source: what was read, for messages. rule: of the levels, where the format knows it.

    Returns:
        What was not observed, as a sentence; empty if all was.
    """
    seed = settings[NameArguments].seed
    splits: SplitArguments = settings[SplitArguments]
    views = {row[0] for row in staging.rows("SELECT view_name FROM duckdb_views()")}
    judged, is_log = "judged_in" in views, "shown_in" in views
    check_values(staging, source, settings, rule)
    make_items(staging, source)
    names, stated = list(DEFAULT_NAMES), ""
    if judged:
        names = make_judged(staging, source, splits.shares(seed), rule or settings[LevelArguments].rule)
    elif is_log:
        names = list(settings[LevelArguments].level_names) or names
    if is_log:
        log = settings[LogArguments].rules(splits, seed)
        stated = make_log(staging, source, log)
        make_unlabelled_of_log(staging, log.unlabelled, judged)
        write_log(staging, source, judged, log.times)
    else:
        make_unlabelled(staging, splits.unlabelled(seed))
    write_items(staging)
    write_pairs(staging, names, judged)
    return stated


def finish(
    work: Path,
    told: Sequence[str],
    kind: str,
    stated: str = "",
    names: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Check the tables and write `summary.json`, which keeps what was told.

    Args:
        names: what the shop calls the columns of the contract (`conversion.names`).
    """
    validate(work)
    summary = report.write_summary(work, None, stated)
    summary["conversion"] = {"format": kind, "told": list(told), "names": dict(names or {})}
    with atomic_write(work / report.SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
