"""Ratings and labels to the levels 0..K-1, lowest first, by a rule that is printed and stored. [O]

| what is found | rule |
|---|---|
| names, or numbers that are names too, and `--level_names` gives their order | level = place in that list |
| numbers and `--level_cuts c1 c2 …` | level = how many cuts are at or below the number |
| numbers and `--level_quantiles K` | cuts that part the training pairs into K equal shares |
| at most 10 distinct whole numbers | the distinct numbers in ascending order |
| anything else | refused, with what was found |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import literal

MOST_NUMBERS = 10
DEFAULT_NAMES = ("irrelevant", "related", "substitute", "exact")
"""Of a log nobody judged: the levels the default prompt asks its teacher for."""


@dataclass(frozen=True)
class LevelRule:
    """How to tell the level; at most one of cuts and quantiles."""

    names: Sequence[str] = ()
    cuts: Sequence[float] = ()
    quantiles: int = 0

    def __post_init__(self) -> None:
        if len(self.cuts) and self.quantiles:
            raise PrectrError("--level_cuts and --level_quantiles both cut the rating: give one of them.")
        if any(low >= high for low, high in zip(self.cuts, self.cuts[1:], strict=False)):
            raise PrectrError(f"--level_cuts {' '.join(map(str, self.cuts))}: write them in ascending order.")
        if self.quantiles == 1 or self.quantiles < 0 or max(self.quantiles, len(self.cuts) + 1) > 100:
            raise PrectrError("--level_quantiles, --level_cuts: there are 2 to 100 levels: change their number.")
        if len({float(name) if _is_number(name) else name for name in self.names}) < len(self.names):
            raise PrectrError(f"--level_names {' '.join(self.names)}: a name occurs twice: give each level its own.")


def add_levels(staging: Staging, source: str, rule: LevelRule) -> list[str]:
    """Give the table `judged` (columns query, item_id, split, label, row, file) a column `level`, one row a pair.

    Several judgements of a pair become their (lower) median. Rows without a label keep a null level.

    Returns:
        The levels' names, lowest first.

    Raises:
        PrectrError: labels that no rule covers, or of a single level.
    """
    named = number_labels(staging, source, rule)
    if not staging.value("SELECT count(number) FROM numbered"):
        raise PrectrError(f"{source}: {staging.named('level')}: no row has one: name the column of the labels.")
    staging.table(
        "judged",
        """SELECT query, item_id, coalesce(any_value(split) FILTER (number IS NOT NULL), 'unlabelled') AS split,
            quantile_disc(number, 0.5) AS number, count(number) AS judgements,
            min(row) AS row, min(file) AS file FROM numbered GROUP BY query, item_id""",
    )
    _tell_repeats(staging)
    if named:
        names, level = list(rule.names), "number"
        staging.tell(f"levels: {_list(names)}, by name")
    elif len(rule.cuts) or rule.quantiles:
        cuts = list(rule.cuts) or _quantile_cuts(staging, rule.quantiles, source)
        names = _names(rule, source, _between(cuts))
        level = " + ".join(f"CAST(number >= {cut!r} AS INTEGER)" for cut in cuts)
        how = f"{rule.quantiles} equal shares of the training pairs" if rule.quantiles else "given"
        staging.tell(f"levels: {_list(names)}; the rating cut at {', '.join(map(str, cuts))} ({how})")
    else:
        values = _distinct_numbers(staging, source)
        names = _names(rule, source, [f"rating {value:g}" for value in values])
        level = "CASE number " + " ".join(f"WHEN {value!r} THEN {place}" for place, value in enumerate(values)) + " END"
        staging.tell(f"levels: {_list(names)}; the numbers {', '.join(f'{value:g}' for value in values)} in that order")
    staging.table("judged", f"SELECT * EXCLUDE (number), CAST({level} AS TINYINT) AS level FROM judged")
    return names


def number_labels(staging: Staging, source: str, rule: LevelRule) -> bool:
    """The table `numbered`: that of `judged` with a column `number`, by which its labels are ordered.

    Returns:
        Whether they are names.

    Raises:
        PrectrError: the first label that no rule covers.
    """
    named = bool(rule.names) and not (len(rule.cuts) or rule.quantiles)
    # Numbers are their own order, unless the names are numbers too: then the order is that of the names.
    named = named and (any(map(_is_number, rule.names)) or not _all_numbers(staging))
    if named:
        places = " ".join(f"WHEN {_is_label(name)} THEN {place}" for place, name in enumerate(rule.names))
        number = f"CASE {places} END"
        remedy = f"the levels are {', '.join(rule.names)}: correct it, or name it too in --level_names, lowest first"
    else:
        number = "CASE WHEN isfinite(TRY_CAST(judged.label AS DOUBLE)) THEN TRY_CAST(judged.label AS DOUBLE) END"
        remedy = "write a number, or name the labels in --level_names, lowest first"
    staging.table("numbered", f"SELECT *, CAST({number} AS DOUBLE) AS number FROM judged")
    _refuse_unknown(staging, source, remedy)
    return named


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _is_label(name: str) -> str:
    """SQL: whether a label is this name; a number whatever its spelling, as 3 and 3.0."""
    same = f"trim(judged.label) = {literal(name)}"
    return f"({same} OR TRY_CAST(judged.label AS DOUBLE) = {float(name)!r})" if _is_number(name) else same


def _all_numbers(staging: Staging) -> bool:
    return bool(
        staging.value("SELECT bool_and(TRY_CAST(label AS DOUBLE) IS NOT NULL) FROM judged WHERE label IS NOT NULL")
    )


def _refuse_unknown(staging: Staging, source: str, remedy: str) -> None:
    bad = staging.rows(
        "SELECT file, row, label FROM numbered WHERE number IS NULL AND label IS NOT NULL ORDER BY file, row LIMIT 1"
    )
    if bad:
        others = [row[0] for row in staging.rows("SELECT DISTINCT label FROM judged ORDER BY label LIMIT 8")]
        found = ", ".join(repr(each[:40]) for each in others if each is not None)
        where = staging.place("judged_in", "level", bad[0][0], bad[0][1], source)
        if _is_number(bad[0][2].replace(",", ".")):
            remedy += ", or say --decimal ,"
        raise PrectrError(f"{where}: found {bad[0][2][:80]!r} (labels: {found}): {remedy}.")


def _tell_repeats(staging: Staging) -> None:
    repeated, judgements = staging.rows("SELECT count(*), sum(judgements) FROM judged WHERE judgements > 1")[0]
    if repeated:
        staging.tell(f"{repeated:,} pairs are judged more than once ({judgements:,} times): the lower median counts")
    staging.run("ALTER TABLE judged DROP judgements")


def _quantile_cuts(staging: Staging, quantiles: int, source: str) -> list[float]:
    shares = [place / quantiles for place in range(1, quantiles)]
    cuts = [
        staging.value(f"SELECT quantile_disc(number, {share!r}) FROM judged WHERE split = 'train'") for share in shares
    ]
    least = staging.value("SELECT min(number) FROM judged WHERE split = 'train'")
    if len(set(cuts)) < len(cuts) or least in cuts:
        raise PrectrError(
            f"{source}: level: the ratings are too few or too alike to be cut into {quantiles} shares (at "
            f"{', '.join(map(str, cuts))}): ask for fewer, or say --level_cuts."
        )
    return cuts


def _distinct_numbers(staging: Staging, source: str) -> list[float]:
    values = [
        row[0] for row in staging.rows("SELECT DISTINCT number FROM judged WHERE number IS NOT NULL ORDER BY number")
    ]
    if len(values) > MOST_NUMBERS or any(value != int(value) for value in values):
        raise PrectrError(
            f"{source}: level: found {len(values)} different numbers from {values[0]:g} to {values[-1]:g}: say "
            "--level_cuts (such as 1.5 2.5) or --level_quantiles 4."
        )
    if len(values) < 2:
        raise PrectrError(f"{source}: level: every pair has the rating {values[0]:g}: judge pairs of other levels too.")
    return values


def _names(rule: LevelRule, source: str, names: list[str]) -> list[str]:
    if rule.names and len(rule.names) != len(names):
        raise PrectrError(
            f"{source}: level: there are {len(names)} levels ({_list(names)}): give so many --level_names."
        )
    return list(rule.names) or names


def _between(cuts: Sequence[float]) -> list[str]:
    inner = [f"{low:g} to below {high:g}" for low, high in zip(cuts, cuts[1:], strict=False)]
    return [f"below {cuts[0]:g}", *inner, f"{cuts[-1]:g} and above"]


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"{place} {name}" for place, name in enumerate(names))
