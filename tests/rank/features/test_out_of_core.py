"""What is written part by part is what would have been made in memory, byte for byte, wherever the parts end."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import prectr.data.toy as toy
from prectr.data.contract import read_table, table_path
from prectr.rank.config import HistoryArguments
from prectr.rank.features.feature_map import FeatureMap, FeatureMapFit
from prectr.rank.features.page_reader import PageParts
from prectr.rank.features.prepare import cold_cuts, prepare, with_label
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.features.write import apply_feature_map, write_features, write_prepared
from prectr.rank.history.log import UNCUT, BehaviourLog
from prectr.rank.history.rows import COLUMN_TYPES
from prectr.rank.history.stage_one import LevelProb
from prectr.rank.inputs.texts import Texts, tokenize_to_disk
from prectr.shared.engine.plain import PLAIN, PlainEngine
from prectr.shared.errors import PrectrError
from tests.rank.history.toy_level_prob import random_level_prob
from tests.rank.random_shop import behaviours_table, random_events
from tests.shared.encoder.tiny_encoder import tiny_encoder

HISTORY = HistoryArguments(history_in_category=6, history_overall=6, cross_history=6)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    toy.build(folder, 1, num_users=12, pages_per_user=20, train_pages=40)
    impressions, behaviours = (read_table(folder, name) for name in ("impressions", "behaviours"))
    # Stage one's table may come in any order.
    stored = random_level_prob(impressions, behaviours)
    stored = stored.take(np.random.default_rng(0).permutation(stored.num_rows))
    pq.write_table(stored, folder / "level_prob.parquet")
    return folder


@pytest.fixture(scope="module")
def shop(data, tmp_path_factory):
    level_prob = LevelProb.build(data / "level_prob.parquet", tmp_path_factory.mktemp("pairs"))
    items, behaviours, impressions = (read_table(data, name) for name in ("items", "behaviours", "impressions"))
    log = BehaviourLog.from_tables(items, behaviours, level_prob)
    return Shop(items, log, level_prob, sorted(set(impressions["query"].to_pylist())))


def test_probabilities_on_disk_are_those_of_the_table(data, tmp_path):
    stored, memory = LevelProb.build(data / "level_prob.parquet", tmp_path), LevelProb.read(data / "level_prob.parquet")
    behaviours = read_table(data, "behaviours")
    pairs = behaviours["query"], behaviours["item_id"]
    assert behaviours["query"].null_count
    assert np.array_equal(stored.lookup(*pairs), memory.lookup(*pairs))
    assert (np.diff(stored._pairs) > 0).all()
    assert (stored.num_pairs, stored.num_levels) == (memory.num_pairs, 4)
    for query in ("never scored", behaviours["query"][0].as_py()):
        with pytest.raises(PrectrError, match=r"1 pairs are not scored, such as query .* and item 'none'"):
            stored.lookup(pa.chunked_array([[query]]), pa.chunked_array([["none"]]))
    pq.write_table(pq.read_table(data / "level_prob.parquet").slice(0, 0), tmp_path / "empty.parquet")
    for name in ("empty.parquet", "absent.parquet"):
        with pytest.raises(PrectrError, match="score the pairs with"):
            LevelProb.build(tmp_path / name, tmp_path / "none")


@pytest.mark.parametrize("rows_at_once", [7, 64, 1000, 1 << 17])
def test_a_log_written_in_parts_is_the_log_in_memory(data, tmp_path, rows_at_once):
    items, behaviours = read_table(data, "items"), read_table(data, "behaviours")
    level_prob = LevelProb.read(data / "level_prob.parquet")
    memory = BehaviourLog.from_tables(items, behaviours, level_prob)
    stored = BehaviourLog.build(data, level_prob, tmp_path, rows_at_once)
    assert stored.event_types == memory.event_types and len(stored) == behaviours.num_rows
    for name in ("users", "items", "queries", "categories"):
        assert getattr(stored, name).equals(getattr(memory, name))
    for name, kind in COLUMN_TYPES.items():
        one, other = getattr(stored, name), getattr(memory, name)
        assert one.dtype == other.dtype == kind and one.tobytes() == other.tobytes()
    for name in stored.specs:
        for part in ("keys", "offsets", "rows", "totals"):
            one, other = (getattr(log.index(name), part) for log in (stored, memory))
            if other is None:
                assert one is None
            else:
                assert one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    assert {file.suffix for file in tmp_path.iterdir()} == {".npy", ".parquet", ".json"}
    assert not (tmp_path / "previous_click.npy").exists()


def test_events_of_one_time_keep_their_order_where_parts_end_between_them(data, tmp_path):
    events = behaviours_table(random_events(3))
    rng = np.random.default_rng(0)
    crowded = events.set_column(5, "timestamp", pa.array(np.sort(rng.integers(0, 5, len(events))), pa.timestamp("s")))
    from tests.rank.random_shop import ITEMS
    from tests.rank.random_shop import level_prob as every_pair

    pq.write_table(ITEMS, table_path(tmp_path, "items"))
    pq.write_table(crowded, table_path(tmp_path, "behaviours"))
    memory = BehaviourLog.from_tables(ITEMS, crowded, every_pair())
    stored = BehaviourLog.build(tmp_path, every_pair(), tmp_path / "log", rows_at_once=3)
    for name in COLUMN_TYPES:
        assert getattr(stored, name).tobytes() == getattr(memory, name).tobytes()


def test_what_is_wrong_far_down_the_log_is_found_at_its_row(data, tmp_path):
    behaviours, level_prob = read_table(data, "behaviours"), LevelProb.read(data / "level_prob.parquet")
    for name in ("items", "behaviours"):
        pq.write_table(read_table(data, name), table_path(tmp_path, name))
    for column, value, message in (
        ("timestamp", behaviours["timestamp"][0].as_py(), "timestamp, row 1500: it is earlier than the row before"),
        ("item_id", "none", "item_id, row 1500: there is no such item"),
    ):
        values = behaviours[column].to_pylist()
        values[1500] = value
        wrong = behaviours.set_column(
            behaviours.column_names.index(column), column, pa.array(values, behaviours[column].type)
        )
        pq.write_table(wrong, table_path(tmp_path, "behaviours"))
        with pytest.raises(PrectrError, match=message):
            BehaviourLog.build(tmp_path, level_prob, tmp_path / "log", rows_at_once=100)
        with pytest.raises(PrectrError, match="holds no behaviour log"):
            BehaviourLog.open(tmp_path / "log")


def test_a_finished_log_is_written_over_and_a_killed_one_gone_on_with(data, tmp_path):
    level_prob = LevelProb.read(data / "level_prob.parquet")
    whole = BehaviourLog.build(data, level_prob, tmp_path)
    kept, lost = tmp_path / "index_user.offsets.npy", tmp_path / "index_query.offsets.npy"
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in (kept, lost)}
    (tmp_path / "log.json").unlink()
    lost.unlink()
    BehaviourLog.build(data, level_prob, tmp_path)
    assert kept.stat().st_mtime_ns == before[kept][0] and lost.read_bytes() == before[lost][1]
    BehaviourLog.build(data, level_prob, tmp_path)
    assert kept.stat().st_mtime_ns != before[kept][0] and kept.read_bytes() == before[kept][1]
    assert len(whole) == len(BehaviourLog.open(tmp_path))


def train_set(data, shop, folder, rows_at_once, engine=PLAIN, **settings):
    parts = PageParts(data, "train", folder / "sorted", rows_at_once=rows_at_once)
    cuts = cold_cuts(parts.num_pages, 0.4, [0, 1, 3], seed=0)
    fit = FeatureMapFit(shop.items, **settings)
    features = write_features(parts, shop, HISTORY, cuts, fit, folder / "train")
    feature_map = fit.finish()
    return apply_feature_map(parts, shop, cuts, features, feature_map, folder / "train", engine), feature_map


def in_memory(data, shop, **settings):
    train = read_table(data, "impressions").filter(pc.field("split") == "train")
    pages = pc.count_distinct(train["page_id"]).as_py()
    raw = prepare(train, shop, HISTORY, cold_cuts(pages, 0.4, [0, 1, 3], seed=0))
    feature_map = FeatureMap.fit(shop.items, raw.impressions, raw.features, **settings)
    return raw.finish(feature_map, shop), feature_map


def differing(one: PreparedSet, other: PreparedSet) -> list[str]:
    pairs = {item.name: (getattr(one, item.name), getattr(other, item.name)) for item in fields(one)}
    return [name for name, (a, b) in pairs.items() if a.dtype != b.dtype or a.tobytes() != b.tobytes()]


@pytest.mark.parametrize("settings", [{}, {"user_id": True, "min_count": 2}])
def test_a_training_set_in_one_part_is_the_one_in_memory(data, shop, tmp_path, settings):
    named = ["weight"]  # this data set has none
    written, feature_map = train_set(data, shop, tmp_path, 1 << 17, **settings)
    whole, expected = in_memory(data, shop, **settings)
    assert feature_map == expected
    assert written.weight is None and whole.weight is None
    both = [
        PreparedSet(**{n: v for n, v in vars(s).items() if n not in named} | {"weight": s.page})
        for s in (written, whole)
    ]
    assert differing(*both) == []


def test_a_training_set_in_many_parts_differs_by_rounding_of_its_units_alone(data, shop, tmp_path):
    written, feature_map = train_set(data, shop, tmp_path, 50)
    whole, expected = in_memory(data, shop)
    assert feature_map.categorical == expected.categorical
    for one, other in zip(feature_map.numeric, expected.numeric, strict=True):
        assert (one.name, one.low, one.high) == (other.name, other.low, other.high)
        assert (one.mean, one.std) == (
            pytest.approx(other.mean, rel=1e-9, abs=1e-12),
            pytest.approx(other.std, rel=1e-6),
        )
    both = [PreparedSet(**vars(s) | {"weight": s.page}) for s in (written, whole)]
    assert set(differing(*both)) <= {"numeric"}
    assert np.allclose(written.numeric, whole.numeric, atol=1e-5)


class Late(PlainEngine):
    """Works on every part again when its result has been taken, as a node does that was taken for dead."""

    def map(self, job, parts, total=None, kept=None):
        opened = job.open()
        for part in parts:
            found = job.work(opened, part)
            yield found
            again = job.work(opened, part)
            assert all(np.array_equal(found[name], again[name]) for name in found)


def test_a_part_that_is_worked_on_late_is_mapped_once(data, shop, tmp_path):
    for name, engine in (("plain", PLAIN), ("late", Late())):
        (tmp_path / name).mkdir()
        train_set(data, shop, tmp_path / name, 50, engine)
    files = {name: sorted((tmp_path / name / "train").iterdir()) for name in ("plain", "late")}
    assert [file.name for file in files["plain"]] == [file.name for file in files["late"]]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files.values(), strict=True))
    assert "unmapped.npy" not in {file.name for file in files["plain"]}


def test_pages_out_of_order_are_sorted_on_disk(data, shop, tmp_path):
    impressions = read_table(data, "impressions")
    mixed = impressions.take(np.random.default_rng(1).permutation(impressions.num_rows))
    for name in ("items", "behaviours"):
        pq.write_table(read_table(data, name), table_path(tmp_path, name))
    pq.write_table(mixed, table_path(tmp_path, "impressions"), row_group_size=100)
    parts = PageParts(tmp_path, "test", tmp_path / "sorted", rows_at_once=64)
    split = mixed.filter(pc.field("split") == "test")
    order = np.argsort(split["page_id"].to_numpy(), kind="stable")
    assert (parts.num_rows, parts.num_pages) == (len(split), pc.count_distinct(split["page_id"]).as_py())
    tables, rows = zip(*parts, strict=True)
    assert len(tables) > 3
    assert np.array_equal(np.concatenate(rows), order)
    assert pa.concat_tables(tables).equals(split.take(order))
    ends = [
        (one["page_id"][-1].as_py(), two["page_id"][0].as_py()) for one, two in zip(tables, tables[1:], strict=False)
    ]
    assert all(one != two for one, two in ends)
    _, feature_map = in_memory(data, shop)
    written = write_prepared(parts, shop, HISTORY, UNCUT, feature_map, tmp_path / "test")
    expected = prepare(split, shop, HISTORY).finish(feature_map, shop)
    both = [PreparedSet(**vars(s) | {"weight": s.page}) for s in (written, expected)]
    assert differing(*both) == []


def test_another_label_is_read_part_by_part_too(data, tmp_path):
    impressions = read_table(data, "impressions")
    labelled = impressions.append_column("label_bought", pc.invert(impressions["clicked"]))
    pq.write_table(labelled, table_path(tmp_path, "impressions"))
    parts = PageParts(tmp_path, "train", tmp_path, label="label_bought", rows_at_once=100)
    found = pa.concat_tables([table for table, _ in parts])
    expected = with_label(labelled, "label_bought").filter(pc.field("split") == "train")
    assert found["clicked"].equals(expected["clicked"])


def test_tokens_on_disk_are_those_in_memory(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("prectr.rank.inputs.texts.TEXTS_AT_ONCE", 10)
    encoder = tiny_encoder(tmp_path)
    memory = Texts.tokenize(encoder, shop.query_texts, shop.item_texts)
    tokenize_to_disk(encoder, shop.query_texts, shop.item_texts, tmp_path / "texts")
    disk = Texts.open(tmp_path / "texts")
    for kind in ("query", "item"):
        one, other = getattr(memory, kind), getattr(disk, kind)
        assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
    tokenize_to_disk(encoder, [], ["a"], tmp_path / "none")
    assert len(Texts.open(tmp_path / "none").query["input_ids"]) == 0
