"""What check-teacher shows, and how it reckons time and cost."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from prectr.distill.__main__ import main as distill_main
from prectr.distill.pairs import Pairs, read_pairs
from prectr.distill.teachers.base import Judgement, Pair
from prectr.distill.teachers.check import check_teacher, duration, example_pairs, seconds_per_pair, tokens_per_pair

LEVELS = ["none", "some", "exact"]


class SlowTeacher:
    """Takes 10 ms a pass whatever is in it; cannot judge the query "?"."""

    fingerprint = "slow"
    batch_size = 4

    def padded_length(self, pair: Pair) -> int:
        return -(-self.tokens(pair) // 8) * 8

    def tokens(self, pair: Pair) -> int:
        return len(pair[0]) + len(pair[1])

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        time.sleep(0.01 * -(-len(pairs) // self.batch_size))
        log_odds = np.log(np.tile([0.125, 0.25, 0.625], (len(pairs), 1))).astype(np.float32)
        log_odds[[query == "?" for query, _ in pairs]] = np.nan
        return Judgement(log_odds)


class TerseTeacher:
    """Has the bare interface, and says of two levels only a bound."""

    fingerprint = "terse"

    def padded_length(self, pair: Pair) -> int:
        return 0

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        log_odds = np.log(np.tile([0.1, 0.1, 0.8], (len(pairs), 1))).astype(np.float32)
        return Judgement(log_odds, censored=np.tile([True, True, False], (len(pairs), 1)))


def make_pairs(queries: Sequence[str], levels: Sequence[int]) -> Pairs:
    query = np.array(queries, dtype=object)
    return Pairs(query, np.array([f"item of {q}" for q in queries], dtype=object), np.array(levels))


def test_ten_pairs_show_every_level_and_five_without_one() -> None:
    gold = make_pairs([f"g{i}" for i in range(40)], [0] * 30 + [1] * 8 + [2] * 2)
    chosen = example_pairs(gold, make_pairs([f"u{i}" for i in range(40)], [-1] * 40), seed=0)
    counts = np.bincount(chosen.level + 1, minlength=4)
    assert counts[0] == 5 and sorted(counts[1:]) == [1, 2, 2]
    assert len(set(chosen.query)) == 10


def test_few_gold_pairs_are_made_up_for() -> None:
    chosen = example_pairs(make_pairs(["g"], [1]), make_pairs([f"u{i}" for i in range(40)], [-1] * 40), seed=0)
    assert len(chosen) == 10 and chosen.query[0] == "g"


def test_the_table_shows_gold_levels_shares_and_what_could_not_be_judged(capsys: pytest.CaptureFixture[str]) -> None:
    check_teacher(SlowTeacher(), make_pairs(["milk", "?", "soda"], [2, 0, -1]), LEVELS, job_size=1000, price=2.0)
    shown = capsys.readouterr().out
    assert "0.125" in shown and "0.625" in shown and "exact" in shown
    assert "1 of 3 pairs could not be judged" in shown
    # (4 + 12) + (1 + 9) + (4 + 12) tokens are 14 a pair: 14,000 for the job, at 2 per million.
    assert "14.0" in shown and "0.03" in shown and "time for 1,000 pairs" in shown


def test_a_teacher_that_counts_nothing_is_shown_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    check_teacher(TerseTeacher(), make_pairs(["milk", "soda"], [2, -1]), LEVELS, job_size=10, price=1.0)
    shown = capsys.readouterr().out
    assert "2 of 2 have a level of which only a bound is known" in shown
    assert "does not count its tokens" in shown


def test_the_job_is_what_the_strategies_find(
    smoke_artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(smoke_artifacts, tmp_path, dirs_exist_ok=True)
    where = ["--profile", "smoke", "--artifacts", str(tmp_path)]
    keys = {split: set(found.keys()) for split, found in read_pairs(tmp_path / "toy" / "data").items()}
    without_gold = keys.pop("unlabelled").difference(*keys.values())
    for asked, size in ((100, 100), (100_000, len(without_gold))):
        distill_main(["check-teacher", *where, "--label_pairs", str(asked)])
        assert f"time for {size:,} pairs" in capsys.readouterr().out


def test_time_is_that_of_full_passes() -> None:
    # Two lengths: a pass of 10 ms each, whose four places would all be taken in the real job.
    seconds = seconds_per_pair(SlowTeacher(), [("a", "b"), ("a", "c"), ("a", "much longer item")])
    assert 0.0025 <= seconds < 0.01


def test_tokens_and_padding() -> None:
    tokens, padded_share = tokens_per_pair(SlowTeacher(), [("ab", "cd"), ("abcdef", "ghijkl")])
    assert tokens == 8 and padded_share == pytest.approx(1 / 3)
    assert tokens_per_pair(TerseTeacher(), [("a", "b")]) == (None, None)


def test_durations_read_well() -> None:
    assert [duration(seconds) for seconds in (42, 720, 12600)] == ["42 s", "12 min", "3.5 h"]
