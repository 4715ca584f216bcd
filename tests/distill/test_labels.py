"""The label cache: a kill loses nothing, a failure is never a label, a larger job keeps a smaller one's work."""

from pathlib import Path

import numpy as np
import pytest

from distill.labels import label, plan_shards, read_labels
from distill.pairs import Pairs, pair_key
from distill.teacher import Judgement, Pair
from shared.config import PrectrError


class Counting:
    """A teacher whose judgement follows from the pair; it remembers what it was asked, and may die."""

    fingerprint = "counting"

    def __init__(self, dies_at: int | None = None, poison: Pair | None = None) -> None:
        self.asked: list[Pair] = []
        self.dies_at, self.poison = dies_at, poison

    def padded_length(self, pair: Pair) -> int:
        return 16 if len(pair[1]) < 8 else 32

    def score(self, pairs: list[Pair]) -> Judgement:  # type: ignore[override]
        if self.dies_at is not None and len(self.asked) >= self.dies_at:
            raise KeyboardInterrupt
        self.asked += pairs
        key = np.array([int(pair_key(*pair)[:8], 16) / 2**32 for pair in pairs])
        probability = np.stack([key, 1 - key], 1) * 0.98 + 0.01
        log_odds = np.log(probability)
        log_odds[[pair == self.poison for pair in pairs]] = np.nan
        return Judgement(log_odds.astype(np.float32), np.stack([key, key * 2, np.ones_like(key)], 1) * 1e6)


def job(size: int) -> Pairs:
    texts = [f"item {'x' * (n % 3 * 4)}{n}" for n in range(size)]
    return Pairs(np.array([f"query {n % 5}" for n in range(size)], object), np.array(texts, object), np.full(size, -1))


def rows(folder: Path) -> dict[tuple[str, str], tuple[float, ...]]:
    pairs, judgement = read_labels(folder)
    assert judgement.state is not None
    keys = list(zip(pairs.query, pairs.item_text, strict=True))
    assert len(set(keys)) == len(keys), "a pair is stored twice"
    return {key: tuple(row) for key, row in zip(keys, np.hstack([judgement.log_odds, judgement.state]), strict=True)}


@pytest.mark.parametrize("dies_at", [0, 1, 9, 17, 30])
def test_a_killed_job_ends_in_the_same_table_as_an_undisturbed_one(tmp_path: Path, dies_at: int) -> None:
    label(Counting(), job(40), tmp_path / "calm", shard_size=4)
    first, second = Counting(dies_at=dies_at), Counting()
    with pytest.raises(KeyboardInterrupt):
        label(first, job(40), tmp_path / "killed", shard_size=4)
    label(second, job(40), tmp_path / "killed", shard_size=4)
    assert rows(tmp_path / "killed") == rows(tmp_path / "calm")
    assert len(first.asked) + len(second.asked) == 40


def test_a_finished_job_asks_nothing_again(tmp_path: Path) -> None:
    label(Counting(), job(40), tmp_path, shard_size=4)
    again = Counting()
    label(again, job(40), tmp_path, shard_size=4)
    assert again.asked == []


def test_a_larger_job_takes_over_the_earlier_ones_whole_shards(tmp_path: Path) -> None:
    label(Counting(), job(40), tmp_path / "small", shard_size=4)
    larger = Counting()
    label(larger, job(80), tmp_path / "large", shard_size=4, earlier=tmp_path / "small")
    assert len(larger.asked) <= 40 + 2 * 4
    assert len(rows(tmp_path / "large")) == 80


def test_another_teacher_takes_nothing_over(tmp_path: Path) -> None:
    label(Counting(), job(8), tmp_path / "one", shard_size=4)
    other = Counting()
    other.fingerprint = "other"
    label(other, job(8), tmp_path / "two", shard_size=4, earlier=tmp_path / "one")
    assert len(other.asked) == 8


def test_a_judgement_that_is_no_number_stops_the_job_and_stores_nothing_of_its_shard(tmp_path: Path) -> None:
    pairs = job(40)
    poison = (pairs.query[20], pairs.item_text[20])
    with pytest.raises(PrectrError, match="not a finite number") as raised:
        label(Counting(poison=poison), pairs, tmp_path, shard_size=4)
    assert repr(poison[1]) in str(raised.value)
    assert poison not in rows(tmp_path)


def test_a_shard_has_one_padded_length_and_every_pair_one_shard() -> None:
    teacher, pairs = Counting(), job(50)
    shards = plan_shards(teacher, pairs, 8)
    assert all(len({teacher.padded_length(pair) for pair in shard.pairs}) == 1 for shard in shards)
    planned = [pair for shard in shards for pair in shard.pairs]
    assert sorted(planned) == sorted(zip(pairs.query, pairs.item_text, strict=True))


def test_states_are_stored_at_unit_length(tmp_path: Path) -> None:
    label(Counting(), job(8), tmp_path, shard_size=4)
    state = read_labels(tmp_path)[1].state
    assert state is not None
    np.testing.assert_allclose(np.linalg.norm(state, axis=1), 1, atol=1e-2)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="make distill"):
        read_labels(tmp_path)
