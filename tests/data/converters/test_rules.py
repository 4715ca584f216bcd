"""Levels, times and splits: each by a stated rule, or refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prectr.data.contract import levels, table_path
from prectr.data.converters import times
from prectr.data.converters.levels import LevelRule
from prectr.data.converters.splits import Shares, moment, split_queries
from prectr.data.converters.staging import Staging
from prectr.data.converters.times import add_seconds
from prectr.shared.errors import PrectrError
from tests.data.converters.sources import convert_to, judgements, rows_of, told, write_csv

PAIRS = "--query query --item title --item_id id --level rating"


def convert_ratings(folder: Path, ratings: list[object], *flags: str) -> Path:
    """The 72 judgements with other ratings, repeated."""
    rows = [{**row, "rating": ratings[place % len(ratings)]} for place, row in enumerate(judgements())]
    return convert_to(folder, f"table {write_csv(folder / 'judged.csv', rows)} {PAIRS}", *flags)


def test_cuts_put_a_rating_at_the_cut_above_it(tmp_path: Path) -> None:
    folder = convert_ratings(tmp_path, [1, 1.49, 1.5, 2.17, 2.9], "--level_cuts", "1.5", "2.17", "2.84")
    found = dict(zip([1, 1.49, 1.5, 2.17, 2.9], [0, 0, 1, 2, 3], strict=True))
    known = {
        (row["query"], row["id"]): list(found.values())[place % 5] for place, row in enumerate(judgements())
    }  # fmt: skip
    gold = [row for row in rows_of(folder, "pairs", "query", "item_id", "level", "split") if row[3] != "unlabelled"]
    assert {row[:2]: row[2] for row in gold} == known
    assert levels(folder) == ["below 1.5", "1.5 to below 2.17", "2.17 to below 2.84", "2.84 and above"]
    assert "the rating cut at 1.5, 2.17, 2.84 (given)" in told(folder)


def test_quantiles_cut_the_training_pairs_into_equal_shares(tmp_path: Path) -> None:
    folder = convert_ratings(tmp_path, [number / 7 for number in range(72)], "--level_quantiles", "3")
    found = [level for level, split in rows_of(folder, "pairs", "level", "split") if split == "train"]
    counts = [found.count(level) for level in range(3)]
    assert max(counts) - min(counts) <= 2 and "(3 equal shares of the training pairs)" in told(folder)


def test_names_are_in_the_order_given(tmp_path: Path) -> None:
    folder = convert_ratings(tmp_path, ["good", "bad", "so so"], "--level_names", "bad", "so so", "good")
    assert levels(folder) == ["bad", "so so", "good"]
    assert rows_of(folder, "pairs", "level")[:3] == [(2,), (0,), (1,)]


@pytest.mark.parametrize(
    ("ratings", "names", "first"),
    [
        ([1, 2, 3], ["3", "2", "1"], [2, 1, 0]),
        ([1.0, 2.0], ["2", "1"], [1, 0]),
        ([-1, 0, 5], ["0", "5", "-1"], [2, 0, 1]),
        ([0.5, 1.5], ["1.5", ".5"], [1, 0]),
        (["1", "01", "2"], ["2", "1"], [1, 1, 0]),
        ([10, 9], ["9", "10"], [1, 0]),
    ],
)
def test_names_that_are_numbers_are_the_ratings_in_their_order(
    tmp_path: Path, ratings: list[object], names: list[str], first: list[int]
) -> None:
    folder = convert_ratings(tmp_path, ratings, "--level_names", *names)
    assert levels(folder) == names
    assert [level for (level,) in rows_of(folder, "pairs", "level")[: len(first)]] == first


def test_two_levels_are_enough_and_whole_numbers_may_have_gaps(tmp_path: Path) -> None:
    folder = convert_ratings(tmp_path, [5, -1], "--level_names", "no", "yes")
    assert levels(folder) == ["no", "yes"] and rows_of(folder, "pairs", "level")[:2] == [(1,), (0,)]


def test_several_judgements_of_a_pair_become_their_lower_median(tmp_path: Path) -> None:
    rows = [{**row, "rating": rating} for row in judgements() for rating in (row["rating"], 0, 2)]
    folder = convert_to(tmp_path, f"table {write_csv(tmp_path / 'judged.csv', rows)} {PAIRS}")
    known = {(row["query"], row["id"]): row["rating"] for row in judgements()}
    found = rows_of(folder, "pairs", "query", "item_id", "level", "split")
    assert {row[:2]: row[2] for row in found if row[3] != "unlabelled"} == known
    assert "72 pairs are judged more than once (216 times): the lower median counts" in told(folder)


BAD_LEVELS = {
    "unnamed words": (
        ["good", "bad"],
        [],
        "rating, row 1: found 'good' (labels: 'bad', 'good'): write a number, or name",
    ),
    "a word not named": (["a", "b", "c"], ["--level_names", "a", "b"], "rating, row 3: found 'c'"),
    "a word among numbers": ([1, 2, "high"], [], "rating, row 3: found 'high'"),
    "not a number": ([1, "1x", 2], [], "rating, row 2: found '1x'"),
    "many numbers": ([1.5, 2.5], [], "found 2 different numbers from 1.5 to 2.5: say --level_cuts"),
    "one number": ([1], [], "every pair has the rating 1: judge pairs of other levels too"),
    "no label": ([""], [], "rating: no row has one"),
    "too many quantiles": ([1, 2], ["--level_quantiles", "4"], "too few or too alike to be cut into 4 shares"),
    "a number not named": ([1, 2, 3], ["--level_names", "2", "1"], "row 3: found '3'"),
    "one number twice": ([1, 2], ["--level_names", "1", "1.0"], "a name occurs twice"),
    "too few names": ([1, 2, 3], ["--level_names", "low", "high"], "there are 3 levels"),
}


@pytest.mark.parametrize("case", BAD_LEVELS)
def test_levels_that_no_rule_covers_are_one_sentence(tmp_path: Path, case: str) -> None:
    ratings, flags, message = BAD_LEVELS[case]
    with pytest.raises(PrectrError) as error:
        convert_ratings(tmp_path, list(ratings), *flags)
    assert message in str(error.value)


@pytest.mark.parametrize("rule", [{"cuts": [1.0] * 2}, {"quantiles": 1}, {"quantiles": 101}, {"quantiles": -2}])
def test_impossible_rules_are_refused(rule: dict) -> None:
    with pytest.raises(PrectrError):
        LevelRule(**rule)


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Staging:
    return Staging(tmp_path_factory.mktemp("staging"))


def seconds_of(staging: Staging, texts: list[str], unit: str = "auto") -> list[int]:
    values = ", ".join(f"(0, {row}, '{text}')" for row, text in enumerate(texts, 1))
    staging.run(f"CREATE OR REPLACE TEMP TABLE log AS SELECT * FROM (VALUES {values}) AS log(file, row, stamp)")
    add_seconds(staging, "log", "stamp", "log.csv", unit)
    return [row[0] for row in staging.rows("SELECT seconds FROM log JOIN log_seconds ON text = stamp ORDER BY row")]


MOMENT = 1_715_862_896  # 2024-05-16T12:34:56Z


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-16T12:34:56Z", "2024-05-16 12:34:56", "2024-05-16T12:34:56.789Z", "2024-05-16T14:34:56+02:00",
        "2024-05-16T14:34:56.5+0200", "2024-05-16T14:34:56+02", "2024-05-16T07:04:56-05:30", "2024-05-16 12:34:56 UTC",
        "1715862896", "1715862896123", "1715862896123456", "1715862896123456789",
    ],
)  # fmt: skip
def test_one_moment_written_in_many_ways(staging: Staging, text: str) -> None:
    assert seconds_of(staging, [text]) == [MOMENT]


@pytest.mark.parametrize("scale", [1, 1000, 0])
def test_times_are_read_in_parts(staging: Staging, monkeypatch: pytest.MonkeyPatch, scale: int) -> None:
    monkeypatch.setattr(times, "_PART", 3)
    moments = [MOMENT + 86400 * day for day in range(20)]
    assert seconds_of(staging, [str(each * scale) if scale else moment(each) for each in moments]) == moments
    with pytest.raises(PrectrError, match="found numbers from 1715862896 to 17158628969999, which may be anything"):
        seconds_of(staging, [*map(str, moments), "17158628969999"])
    with pytest.raises(PrectrError, match=r"row 1 \(and 20 more\): found 'soon', which is no time in iso"):
        seconds_of(staging, [*map(str, moments), "soon"][::-1])


def test_a_date_is_its_first_second_and_minutes_may_be_missing(staging: Staging) -> None:
    assert seconds_of(staging, ["2024-05-16", "2024-05-16T00:01"]) == [1715817600, 1715817660]


@pytest.mark.parametrize(
    ("texts", "unit", "message"),
    [
        (
            ["1715862896", "1715862896123"],
            "auto",
            "found numbers from 1715862896 to 1715862896123, which may be anything",
        ),
        (["17158628961234"], "auto", "which may be anything"),
        (["2024-05-16", "16.05.2024"], "auto", "stamp, row 2: found '16.05.2024', which is no time in iso"),
        (["2024-02-30"], "auto", "row 1: found '2024-02-30'"),
        (["16.05.2024", "32.05.2024", "33.05.2024"], "%d.%m.%Y", "row 2 (and 1 more): found '32.05.2024', which is no"),
        (["16.05.1024"], "%d.%m.%Y", "no time as %d.%m.%Y between 1990 and 2100"),
        (["2024-05-16T25:00:00Z"], "auto", "row 1"),
        (["today"], "seconds", "which is no time in seconds"),
        (["1" * 40], "auto", "which may be anything"),
        (["1" * 40], "seconds", "which is no time in seconds"),
        (["19000"], "seconds", "which is no time in seconds between 1990 and 2100"),
        (["2403011405"], "auto", "may be seconds or YYMMDDHHMM"),
    ],
)
def test_times_that_may_mean_anything_are_refused(staging: Staging, texts: list[str], unit: str, message: str) -> None:
    with pytest.raises(PrectrError) as error:
        seconds_of(staging, texts, unit)
    assert message in str(error.value)


def test_a_unit_that_is_named_needs_no_guess(staging: Staging) -> None:
    assert seconds_of(staging, ["2403011405"], "seconds") == [2403011405]
    assert seconds_of(staging, ["2403011405"], "YYMMDDHHMM") == [1709301900]


@given(
    counts=st.lists(st.integers(1, 40), min_size=3, max_size=30),
    shares=st.tuples(st.floats(0.01, 0.45), st.floats(0.01, 0.45)),
    seed=st.integers(0, 3),
)
def test_whole_queries_are_split_and_no_split_is_empty(
    staging: Staging, counts: list[int], shares: tuple[float, float], seed: int
) -> None:
    values = ", ".join(f"({row}, 'q{query}', '1', NULL)" for query, count in enumerate(counts) for row in range(count))
    staging.run(
        "CREATE OR REPLACE TEMP TABLE judged AS "
        f"SELECT * FROM (VALUES {values}) AS judged(row, query, label, own_split)"
    )
    split_queries(staging, "judged.csv", Shares(shares[0], shares[1], 0, 0, seed))
    found = staging.rows("SELECT query, count(DISTINCT split), any_value(split) FROM judged GROUP BY query")
    assert len(found) == len(counts) and {row[1] for row in found} == {1}
    assert {row[2] for row in found} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("16.05.2024 12:34:56", "%d.%m.%Y %H:%M:%S"), ("05/16/24 12:34:56 PM", "%m/%d/%y %I:%M:%S %p"),
        ("16/May/2024:14:34:56 +0200", "%d/%b/%Y:%H:%M:%S %z"), (" 16.05.2024 12:34:56 ", "%d.%m.%Y %H:%M:%S"),
    ],
)  # fmt: skip
def test_a_format_says_how_times_are_written(staging: Staging, text: str, form: str) -> None:
    assert seconds_of(staging, [text], form) == [MOMENT]


def test_too_few_queries_and_a_query_in_two_splits_are_one_sentence(tmp_path: Path) -> None:
    rows = [{**row, "part": ("train", "test")[place % 2]} for place, row in enumerate(judgements())]
    source = write_csv(tmp_path / "judged.csv", rows)
    with pytest.raises(PrectrError, match=r"query '.*' is in several: split by query"):
        convert_to(tmp_path, f"table {source} {PAIRS} --split part")
    with pytest.raises(PrectrError, match="id, row 1: found '000': use train, validation and test"):
        convert_to(tmp_path, f"table {source} {PAIRS} --split id")
    source = write_csv(
        tmp_path / "few.csv", [row for row in judgements() if row["query"] in ("red shoe 0", "blue scarf 1")]
    )
    with pytest.raises(PrectrError, match="2 are judged: judge pairs of three queries at least"):
        convert_to(tmp_path, f"table {source} {PAIRS}")


def test_a_table_is_cut_alike_whatever_the_number_of_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prectr.data.converters.staging._WRITTEN", 100_000)
    files = set()
    for threads in (1, 2):
        monkeypatch.setattr("prectr.data.converters.staging.threads", lambda threads=threads: threads)
        made = Staging(tmp_path / str(threads))
        made.write("gold", "SELECT 'q' AS query, 'i' AS item_id, 0 AS level FROM range(130_000) ORDER BY range")
        made.close()
        files.add(table_path(made.work, "gold").read_bytes())
    assert len(files) == 1
