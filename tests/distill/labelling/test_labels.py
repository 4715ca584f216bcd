"""The labelling job: no pair lost, none twice, none invented; a failure is never a label; the cache forgets nothing."""

import json
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prectr.distill.labelling.cache import LabelCache, judgement_of
from prectr.distill.labelling.job import REJECTED, cut, label, read_labels, read_rejected, write_labels
from prectr.distill.pairs import Pairs, pair_key
from prectr.distill.teachers.base import Judgement, Pair
from prectr.shared.errors import PrectrError


class Counting:
    """A teacher whose judgement follows from the pair and its place in the pass; it remembers what it was asked, and
    may die.
    """

    def __init__(self, dies_at: int | None = None, poison: frozenset[Pair] = frozenset(), name: str = "one") -> None:
        self.asked: list[Pair] = []
        self.dies_at, self.poison, self.fingerprint = dies_at, poison, name
        self.error: BaseException = KeyboardInterrupt()
        self.value = np.nan

    def padded_length(self, pair: Pair) -> int:
        return 16 if len(pair[1]) < 8 else 32

    def score(self, pairs: list[Pair]) -> Judgement:  # type: ignore[override]
        if self.dies_at is not None and len(self.asked) >= self.dies_at:
            raise self.error
        self.asked += pairs
        key = np.array([int(pair_key(*pair)[:8], 16) / 2**32 for pair in pairs])
        # As in arithmetic of finite precision, the other pairs of a pass tell in the last digits.
        place = np.arange(len(pairs)) * 1e-6
        probability = np.stack([key, 1 - key], 1) * 0.98 + 0.01
        log_odds = (np.log(probability) + place[:, None]).astype(np.float32)
        log_odds[[pair in self.poison for pair in pairs], 0] = self.value
        return Judgement(log_odds, np.stack([key, key * 2, np.ones_like(key)], 1) * 1e6)


def job(size: int) -> Pairs:
    texts = [f"item {'x' * (n % 3 * 4)}{n}" for n in range(size)]
    return Pairs(np.array([f"query {n % 5}" for n in range(size)], object), np.array(texts, object), np.full(size, -1))


def pair(pairs: Pairs, row: int) -> Pair:
    return pairs.query[row], pairs.item_text[row]


def run(teacher: Counting, pairs: Pairs, root: Path, max_rejected: float = 0.01) -> bytes:
    """One run of the command; returns the table's bytes."""
    cache = LabelCache(root / "label_cache", teacher.fingerprint)
    label(teacher, pairs, cache, shard_size=4, max_rejected=max_rejected)
    (root / "labels").mkdir(exist_ok=True)
    write_labels(root / "labels", cache, pairs, np.full(len(pairs), "logged", object))
    return (root / "labels" / "labels.parquet").read_bytes()


@settings(max_examples=10)
@given(st.lists(st.integers(0, 23), min_size=1, max_size=3))
def test_a_job_killed_anywhere_ends_in_the_undisturbed_table(
    tmp_path_factory: pytest.TempPathFactory, deaths: list[int]
) -> None:
    root = tmp_path_factory.mktemp("job")
    asked = []
    for death in deaths:
        teacher = Counting(dies_at=death)
        with pytest.raises(KeyboardInterrupt):
            run(teacher, job(24), root)
            raise KeyboardInterrupt
        asked += teacher.asked
    last = Counting()
    table = run(last, job(24), root)
    assert table == run(Counting(), job(24), tmp_path_factory.mktemp("calm"))
    assert sorted(asked + last.asked) == sorted(set(zip(job(24).query, job(24).item_text, strict=True)))


def test_the_table_holds_the_job_in_its_order_and_what_the_teacher_said(tmp_path: Path) -> None:
    run(Counting(), job(40), tmp_path)
    pairs, judgement = read_labels(tmp_path / "labels")
    assert pairs.query.tolist() == job(40).query.tolist() and pairs.item_text.tolist() == job(40).item_text.tolist()
    key = np.array([int(pair_key(*pair(pairs, row))[:8], 16) / 2**32 for row in range(40)])
    np.testing.assert_allclose(judgement.log_odds[:, 0], np.log(key * 0.98 + 0.01), atol=1e-5)
    assert judgement.state is not None and judgement.censored is None
    np.testing.assert_allclose(np.linalg.norm(judgement.state, axis=1), 1, atol=1e-2)


def test_a_finished_job_asks_nothing_again(tmp_path: Path) -> None:
    first, again = Counting(), Counting()
    assert run(first, job(40), tmp_path) == run(again, job(40), tmp_path)
    assert again.asked == []


def test_a_larger_job_asks_only_for_the_new_pairs(tmp_path: Path) -> None:
    run(Counting(), job(40), tmp_path)
    larger = Counting()
    run(larger, job(80), tmp_path)
    assert sorted(larger.asked) == sorted(pair(job(80), row) for row in range(40, 80))
    assert len(read_labels(tmp_path / "labels")[0]) == 80


def test_labels_survive_another_teacher(tmp_path: Path) -> None:
    before = run(Counting(), job(8), tmp_path)
    other, back = Counting(name="other"), Counting()
    run(other, job(8), tmp_path)
    assert len(other.asked) == 8
    assert run(back, job(8), tmp_path) == before
    assert back.asked == []


def test_a_plan_that_another_job_overtook_asks_for_nothing_twice(tmp_path: Path) -> None:
    killed, larger, back = Counting(dies_at=8), Counting(), Counting()
    with pytest.raises(KeyboardInterrupt):
        run(killed, job(40), tmp_path)
    run(larger, job(80), tmp_path)
    run(back, job(40), tmp_path)
    assert len(killed.asked + larger.asked) == 80 and back.asked == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_label_but_listed_and_asked_again(
    tmp_path: Path, value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = job(120)
    teacher = Counting(poison=frozenset({pair(pairs, 20), pair(pairs, 21)}))
    teacher.value = value
    run(teacher, pairs, tmp_path)
    assert pairs.item_text[20] in capsys.readouterr().out
    assert [pair(read_rejected(tmp_path / "labels"), row) for row in (0, 1)] == [pair(pairs, 20), pair(pairs, 21)]
    labelled, judgement = read_labels(tmp_path / "labels")
    assert len(labelled) == 118 and np.isfinite(judgement.log_odds).all()
    again = Counting()
    run(again, pairs, tmp_path)
    assert sorted(again.asked) == sorted(teacher.poison)
    assert len(read_labels(tmp_path / "labels")[0]) == 120
    assert len(read_rejected(tmp_path / "labels")) == 0


def test_too_many_rejected_end_the_job_early_and_keep_the_rest(tmp_path: Path) -> None:
    pairs = job(300)
    bad = frozenset(pair(pairs, row) for row in range(300) if row % 4 == 0)
    teacher = Counting(poison=bad)
    with pytest.raises(PrectrError, match="label_max_rejected") as raised:
        run(teacher, pairs, tmp_path)
    assert repr(next(p for p in teacher.asked if p in bad)[1]) in str(raised.value)
    assert len(teacher.asked) < 40
    cache = LabelCache(tmp_path / "label_cache", "one")
    assert cache.labelled() == set(teacher.asked) - bad
    listed = [json.loads(line) for line in (cache.folder / REJECTED).read_text().splitlines()]
    assert {(row["query"], row["item_text"]) for row in listed} <= bad
    mended = Counting()
    run(mended, pairs, tmp_path)
    assert set(mended.asked) | cache.labelled() == set(zip(pairs.query, pairs.item_text, strict=True))
    assert not set(mended.asked) & (set(teacher.asked) - bad)


def test_a_teacher_that_judges_nothing_is_not_asked_for_all(tmp_path: Path) -> None:
    pairs = job(300)
    teacher = Counting(poison=frozenset(pair(pairs, row) for row in range(300)))
    with pytest.raises(PrectrError, match="could not judge"):
        run(teacher, pairs, tmp_path, max_rejected=0.9)
    assert len(teacher.asked) == 8


def test_a_teacher_that_gives_up_midway_says_why_and_loses_nothing(tmp_path: Path) -> None:
    teacher = Counting(dies_at=12)
    teacher.error = PrectrError("the budget is spent.")
    with pytest.raises(PrectrError, match="budget"):
        run(teacher, job(40), tmp_path)
    rest = Counting()
    run(rest, job(40), tmp_path)
    assert len(rest.asked) == 28 and not set(rest.asked) & set(teacher.asked)


def test_what_a_teacher_left_out_before_it_gave_up_is_reported_by_its_own_sentence(tmp_path: Path) -> None:
    pairs = job(40)
    first = cut(Counting(), list(zip(pairs.query, pairs.item_text, strict=True)), 4)[0]
    teacher = Counting(dies_at=4, poison=frozenset(first[1:]))
    teacher.error = PrectrError("the budget is spent.")
    with pytest.raises(PrectrError, match="budget"):
        run(teacher, pairs, tmp_path)
    rest = Counting()
    run(rest, pairs, tmp_path)
    assert len(rest.asked) == 39


def test_censoring_is_kept_also_where_a_shard_has_none(tmp_path: Path) -> None:
    cache = LabelCache(tmp_path, "one")
    pairs = job(4)
    said = Counting().score([pair(pairs, row) for row in range(4)])
    mask = np.array([[True, False], [False, False]])
    cache.write("a", [pair(pairs, 0), pair(pairs, 1)], Judgement(said.log_odds[:2], said.state[:2], mask))
    cache.write("b", [pair(pairs, 2), pair(pairs, 3)], Judgement(said.log_odds[2:], said.state[2:]))
    write_labels(tmp_path, cache, pairs, np.full(4, "logged", object))
    assert read_labels(tmp_path)[1].censored.tolist() == [*mask.tolist(), [False, False], [False, False]]


def test_processes_share_a_job_without_asking_twice(tmp_path: Path) -> None:
    teachers = [Counting() for _ in range(3)]
    caches = [LabelCache(tmp_path / "together" / "label_cache", "one") for _ in teachers]
    threads = [
        threading.Thread(target=label, args=(teacher, job(200), cache, 4))
        for teacher, cache in zip(teachers, caches, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(teacher.asked) for teacher in teachers) == 200
    assert run(Counting(dies_at=0), job(200), tmp_path / "together") == _alone(tmp_path / "alone")


def _alone(root: Path) -> bytes:
    root.mkdir()
    return run(Counting(), job(200), root)


def test_a_shard_has_one_padded_length_and_pairs_of_a_query_side_by_side_and_every_pair_one_shard() -> None:
    teacher, pairs = Counting(), list(zip(job(50).query, job(50).item_text, strict=True))
    shards = cut(teacher, pairs, 8)
    for shard in shards:
        queries = [query for query, _ in shard]
        assert sum(one != next_one for one, next_one in pairwise(queries)) == len(set(queries)) - 1
    assert all(len({teacher.padded_length(pair) for pair in shard}) == 1 and len(shard) <= 8 for shard in shards)
    assert sorted(pair for shard in shards for pair in shard) == sorted(pairs)


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Counting(dies_at=8), job(40), tmp_path)
    cache = LabelCache(tmp_path / "label_cache", "one")
    for folder, name in (("shards", "abc-00003"), ("plans", "abc")):
        (cache.folder / folder / f".{name}.99999.part.parquet").write_bytes(b"half a file")
    run(Counting(), job(40), tmp_path)
    assert list(cache.folder.rglob("*.part.parquet")) == []
    assert list(cache.folder.glob("plans/*")) == []
    assert {lock.name for lock in cache.folder.glob("locks/*")} <= {"plan.lock", "abc-00003.lock"}


def _shards(root: Path) -> list[Path]:
    return sorted((LabelCache(root / "label_cache", "one").folder / "shards").glob("*.parquet"))


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_shard_is_named_and_its_pairs_are_asked_again_once_it_is_deleted(
    tmp_path: Path, keep: float
) -> None:
    run(Counting(), job(40), tmp_path)
    shard = _shards(tmp_path)[3]
    content, size = shard.read_bytes(), pq.read_metadata(shard).num_rows
    shard.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(PrectrError, match=f"{shard.name} is damaged .*delete that file"):
        run(Counting(), job(40), tmp_path)
    shard.unlink()
    again = Counting()
    run(again, job(40), tmp_path)
    assert len(again.asked) == size and len(read_labels(tmp_path / "labels")[0]) == 40


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_is_found_or_harmless(tmp_path_factory: pytest.TempPathFactory, place: int, flip: int) -> None:
    root = tmp_path_factory.mktemp("rot")
    table = run(Counting(), job(4), root)
    shard = _shards(root)[0]
    content = bytearray(shard.read_bytes())
    content[place % len(content)] ^= flip
    shard.write_bytes(bytes(content))
    try:
        assert run(Counting(dies_at=0), job(4), root) == table
    except PrectrError as error:
        assert shard.name in str(error)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(PrectrError, match="No space left on device.*make room"):
        patched.setattr(pq, "write_table", fail)
        run(Counting(), job(40), tmp_path)
    run(Counting(), job(40), tmp_path)
    assert len(read_labels(tmp_path / "labels")[0]) == 40


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="make distill"):
        read_labels(tmp_path)


def test_a_job_without_any_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="none of the 0 pairs"):
        run(Counting(), job(0), tmp_path)


def test_a_judgement_is_read_as_it_was_stored(tmp_path: Path) -> None:
    cache = LabelCache(tmp_path, "one")
    said = Counting().score([pair(job(3), row) for row in range(3)])
    cache.write("a", [pair(job(3), row) for row in range(3)], Judgement(said.log_odds))
    row, table = cache.collect(job(3).take(np.array([2, 0])))
    assert row.tolist() == [0, 1] and "state" not in table.column_names
    np.testing.assert_array_equal(judgement_of(table).log_odds, said.log_odds[[2, 0]])
