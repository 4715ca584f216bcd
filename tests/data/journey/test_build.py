from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from prectr.data import report
from prectr.data.checks.validate import validate
from prectr.data.config import CONFIG_DIR, DataArguments
from prectr.data.contract import SCHEMAS, read_table, table_path
from prectr.data.journey import build as journey
from prectr.data.journey.needs import bind
from prectr.data.journey.phrasebook import read_phrasebook
from prectr.data.journey.raw import read_shop
from prectr.data.journey.searches import choose_households
from prectr.shared.run.settings import parse_arguments
from tests.data.journey.tiny_journey import tiny_arguments, write_raw

SEED = 3


def of_split(folder: Path, *splits: str, table: str = "impressions") -> pa.Table:
    rows = read_table(folder, table)
    return rows.filter(pc.is_in(rows["split"], pa.array(splits)))


def values(rows: pa.Table, column: str) -> set[str]:
    return set(rows[column].to_pylist())


def test_the_data_set_keeps_the_contract(tiny: Path) -> None:
    validate(tiny)
    for name in SCHEMAS:
        assert read_table(tiny, name).num_rows > 0
    assert values(read_table(tiny, "impressions"), "split") == {"train", "validation", "test", "new_users", "open"}
    assert values(read_table(tiny, "pairs"), "split") == {"train", "validation", "test", "test_types", "unlabelled"}


def test_the_same_seed_writes_the_same_bytes(
    tiny: Path, tmp_path: Path, raw_folder: Path, phrasebook_path: Path
) -> None:
    journey.build(tmp_path / "again", tiny_arguments(raw_folder, phrasebook_path))
    journey.build(tmp_path / "other", tiny_arguments(raw_folder, phrasebook_path, seed=4))
    for name in SCHEMAS:
        assert table_path(tiny, name).read_bytes() == table_path(tmp_path / "again", name).read_bytes()
    assert read_table(tiny, "queries") != read_table(tmp_path / "other", "queries")


def test_held_out_wordings_occur_in_test_weeks_only(tiny: Path) -> None:
    queries = read_table(tiny, "queries")
    unseen = values(queries.filter(pc.invert(queries["seen_in_training"])), "query")
    first_test = pc.min(of_split(tiny, "test")["timestamp"]).as_py()
    behaviours = read_table(tiny, "behaviours")
    earlier = behaviours.filter(pc.less(behaviours["timestamp"], first_test))
    assert not unseen & values(earlier, "query")
    assert not unseen & values(of_split(tiny, "train", "validation"), "query")
    assert not unseen & values(of_split(tiny, "train", "validation", "unlabelled", table="pairs"), "query")
    assert values(of_split(tiny, "test", table="pairs"), "query") <= unseen
    pages = of_split(tiny, "test", "new_users").group_by(["page_id", "query"]).aggregate([])
    share = np.isin(pages["query"].to_pylist(), list(unseen)).mean()
    assert 0.12 < share < 0.28


def test_held_out_households_are_trained_on_nowhere(tiny: Path) -> None:
    held_out = values(of_split(tiny, "new_users"), "user_id")
    assert len(held_out) == 2
    assert not held_out & values(of_split(tiny, "train", "validation", "test", "open"), "user_id")
    assert held_out <= values(read_table(tiny, "behaviours"), "user_id")


def test_new_users_have_all_their_test_pages(tiny: Path) -> None:
    first_test = pc.min(of_split(tiny, "test", "new_users")["timestamp"])
    behaviours = read_table(tiny, "behaviours")
    held_out = pa.array(sorted(values(of_split(tiny, "new_users"), "user_id")))
    theirs = behaviours.filter(
        pc.and_(pc.is_in(behaviours["user_id"], held_out), pc.greater_equal(behaviours["timestamp"], first_test))
    )
    assert values(theirs, "page_id") - {None} == values(of_split(tiny, "new_users"), "page_id")


def test_types_without_gold_have_none_in_training_pairs(tiny: Path, raw_folder: Path, phrasebook_path: Path) -> None:
    catalogue, _ = read_shop(raw_folder, 10)
    needs = bind(read_phrasebook(phrasebook_path), catalogue, SEED)
    unknown = set(catalogue.product[needs.kind_without_gold[catalogue.kind.of]].astype(str).tolist())
    assert unknown
    assert not unknown & values(of_split(tiny, "train", "validation", "test", table="pairs"), "item_id")
    assert unknown & values(of_split(tiny, "unlabelled", table="pairs"), "item_id")
    queries = read_table(tiny, "queries")
    without = values(queries.filter(pc.invert(queries["has_gold_labels"])), "query")
    assert not without & values(of_split(tiny, "train", "validation", "test", table="pairs"), "query")
    assert values(of_split(tiny, "test_types", table="pairs"), "query") <= without


def test_gold_pairs_have_every_level_and_are_distinct(tiny: Path) -> None:
    pairs = read_table(tiny, "pairs")
    train = pairs.filter(pc.equal(pairs["split"], "train"))
    assert train.num_rows == 40
    assert values(train, "level") == {0, 1, 2, 3}
    for split in ("train", "unlabelled"):
        part = pairs.filter(pc.equal(pairs["split"], split))
        assert part.group_by(["query", "item_id"]).aggregate([]).num_rows == part.num_rows
    assert not values(train, "query") & values(of_split(tiny, "validation", table="pairs"), "query")


def test_clicked_is_bought_in_that_basket_and_related(tiny: Path, raw_folder: Path, phrasebook_path: Path) -> None:
    catalogue, purchases = read_shop(raw_folder, 10)
    sold = purchases.take(np.flatnonzero(purchases.item >= 0))
    lines = zip(sold.household.tolist(), sold.seconds.tolist(), catalogue.product[sold.item].tolist(), strict=True)
    bought = set(lines)
    rows = of_split(tiny, "test", "new_users").join(read_table(tiny, "gold"), ["query", "item_id"])
    seconds = rows["timestamp"].cast(pa.int64()).to_pylist()
    for row, second in zip(rows.to_pylist(), seconds, strict=True):
        held = (int(row["user_id"]), second, int(row["item_id"])) in bought
        assert row["clicked"] == (held and row["level"] >= 1)
    assert pc.any(rows["clicked"]).as_py()


def test_open_lists_hold_all_that_is_on_sale_in_the_category(tiny: Path, raw_folder: Path) -> None:
    rows = of_split(tiny, "open")
    assert values(rows, "position") == {-1}
    items = {row["item_id"]: row["category"] for row in read_table(tiny, "items").to_pylist()}
    page = rows.filter(pc.equal(rows["page_id"], rows["page_id"][0])).to_pylist()
    inside = {row["item_id"] for row in page if items[row["item_id"]] == page[0]["query_category"]}
    # In this small shop everything sells every six weeks.
    assert inside == {item for item, category in items.items() if category == page[0]["query_category"]}


def test_every_purchase_is_in_the_behaviours_once_at_least(tiny: Path, raw_folder: Path) -> None:
    catalogue, purchases = read_shop(raw_folder, 10)
    chosen = choose_households(purchases, 20, SEED)
    lines = (chosen.code(purchases.household) >= 0) & (purchases.item >= 0)
    behaviours = read_table(tiny, "behaviours")
    clicked = behaviours.filter(behaviours["clicked"])
    events = clicked.group_by(["user_id", "item_id", "timestamp"]).aggregate([]).num_rows
    assert events == lines.sum()
    purchase = behaviours.filter(pc.equal(behaviours["event_type"], "purchase"))
    assert pc.all(purchase["clicked"]).as_py()


def test_a_future_purchase_changes_nothing_before_it(tiny: Path, tmp_path: Path, phrasebook_path: Path) -> None:
    """The planted line is bought by a chosen household in week 50; all of weeks 1 to 49 must stay as it is."""
    planted_at = np.datetime64("2017-12-14T10:00:00", "s")
    user = next(iter(sorted(values(of_split(tiny, "test"), "user_id"))))
    line = dict(
        household_id=int(user), store_id=1, basket_id=999_999, product_id=1000, quantity=1, sales_value=9.0,
        retail_disc=0.0, coupon_match_disc=0.0, week=50, transaction_timestamp=planted_at,
    )  # fmt: skip
    raw = write_raw(tmp_path / "raw", extra_line=line)
    journey.build(tmp_path / "planted", tiny_arguments(raw, phrasebook_path))

    week_start = pa.scalar((planted_at - np.timedelta64(4, "D")).item(), pa.timestamp("s"))
    for table in ("behaviours", "impressions"):
        before, after = (
            rows.filter(pc.less(rows["timestamp"], week_start))
            for rows in (read_table(folder, table) for folder in (tiny, tmp_path / "planted"))
        )
        columns = [name for name in before.column_names if name != "impression_id"]
        assert before.num_rows > 1000
        assert before.select(columns).equals(after.select(columns))
    for table in ("items", "pairs"):
        assert read_table(tiny, table).equals(read_table(tmp_path / "planted", table))
    planted = read_table(tmp_path / "planted", "behaviours")
    assert pc.any(pc.equal(planted["timestamp"], pa.scalar(planted_at.item(), pa.timestamp("s")))).as_py()


@pytest.mark.data
def test_the_default_data_set(tmp_path: Path) -> None:
    (arguments,) = parse_arguments(
        [DataArguments], CONFIG_DIR, ["--households", "60", "--test_pages", "500", "--train_pages", "500"]
    )
    level_mix = journey.build(tmp_path, arguments)
    validate(tmp_path)
    summary = report.write_summary(tmp_path, level_mix)
    assert summary["rows"]["items"] > 10_000
    assert 0.6 < summary["text_twin_rate"] < 0.8
    assert 0.04 < summary["behaviours"]["ctr"] < 0.12
    assert sum(summary["impressions"]["train"]["level_mix"][2:]) > 0.8
