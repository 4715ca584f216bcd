from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from prectr.data import toy
from prectr.data.checks.validate import validate
from prectr.data.contract import SCHEMAS, levels, read_table, table_path


def test_the_toy_shop_keeps_the_contract(toy_folder: Path) -> None:
    validate(toy_folder)
    assert levels(toy_folder) == ["irrelevant", "related", "substitute", "exact"]


def test_the_same_seed_writes_the_same_bytes(toy_folder: Path, tmp_path: Path) -> None:
    toy.build(tmp_path / "again", seed=5)
    toy.build(tmp_path / "other", seed=6)
    for name in SCHEMAS:
        first, again, other = (
            table_path(folder, name) for folder in (toy_folder, tmp_path / "again", tmp_path / "other")
        )
        assert first.read_bytes() == again.read_bytes()
        assert first.read_bytes() != other.read_bytes()


def test_every_split_and_table_has_rows(toy_folder: Path) -> None:
    for name in SCHEMAS:
        assert read_table(toy_folder, name).num_rows > 0
    splits = set(read_table(toy_folder, "impressions")["split"].to_pylist())
    assert splits == {"train", "validation", "test", "new_users", "open"}
    assert set(read_table(toy_folder, "pairs")["split"].to_pylist()) >= {
        "train",
        "validation",
        "test",
        "test_types",
        "unlabelled",
    }
    behaviours = read_table(toy_folder, "behaviours")
    purchases = behaviours.filter(pc.equal(behaviours["event_type"], "purchase"))
    assert purchases.num_rows > 0
    assert purchases["query"].null_count == purchases["page_id"].null_count == purchases.num_rows


def test_text_decides_clicks(toy_folder: Path) -> None:
    shown = read_table(toy_folder, "impressions").join(
        read_table(toy_folder, "gold"), ["query", "item_id"], join_type="inner"
    )
    by_level = shown.group_by("level").aggregate([("clicked", "mean")]).sort_by("level")["clicked_mean"].to_numpy()
    assert by_level[3] > 2 * by_level[2] > 2 * by_level[1]
    assert np.isclose(by_level[0], 0)
