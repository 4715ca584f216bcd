"""The generic converter: judged pairs, logs of what was shown, logs of clicks."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data.contract import levels, read_table
from prectr.data.converters.arguments.command import read_conversion
from prectr.data.converters.convert import convert
from prectr.shared.default_models import CAUSAL
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import read_record
from tests.data.converters.sources import convert_to, items, judgements, log_rows, rows_of, told, write_csv, write_lines

PAIRS = "--query query --item title --level rating"
LOG = "--query q --item title --item_id sku --timestamp at"


def judged(folder: Path, *flags: str, encoding: str = "utf-8", delimiter: str = ",") -> Path:
    source = write_csv(folder / "judged.csv", judgements(), delimiter, encoding)
    return convert_to(folder, f"table {source} {PAIRS} --item_id id", *flags)


def test_judged_pairs_are_split_by_query_with_pairs_for_the_teacher(tmp_path: Path) -> None:
    folder = judged(tmp_path)
    rows = rows_of(folder, "pairs", "query", "item_id", "level", "split")
    by_split = {split: {row[0] for row in rows if row[3] == split} for split in ("train", "validation", "test")}
    assert all(by_split.values()) and sum(map(len, by_split.values())) == 12
    known = {(row["query"], row["id"]): row["rating"] for row in judgements()}
    gold = {row[:2]: row[2] for row in rows if row[3] != "unlabelled"}
    assert gold == known and levels(folder) == ["rating 0", "rating 1", "rating 2"]
    unlabelled = {row[:2] for row in rows if row[3] == "unlabelled"}
    assert unlabelled and not unlabelled & set(known) and {query for query, _ in unlabelled} == by_split["train"]
    assert rows_of(folder, "items", "item_id", "text")[0] == ("000", "red shoe")
    assert "72 rows read" in told(folder) and "split by query: 12 judged queries" in told(folder)


def test_the_same_seed_writes_the_same_bytes_and_does_nothing_twice(tmp_path: Path) -> None:
    first = judged(tmp_path / "one" if (tmp_path / "one").mkdir() is None else tmp_path)
    second = judged(tmp_path / "two" if (tmp_path / "two").mkdir() is None else tmp_path)
    for table in ("items", "pairs"):
        assert (first / f"{table}.parquet").read_bytes() == (second / f"{table}.parquet").read_bytes()
    record = read_record(first)
    assert read_record(judged(tmp_path / "one")) == record
    other = judged(tmp_path / "one", "--seed", "1")
    assert read_record(other).fingerprint != record.fingerprint
    assert not [path for path in other.parent.iterdir() if path.name.endswith(".part")]
    assert not (other / "checkpoints").exists()


def test_a_killed_conversion_does_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            "prectr.data.converters.write.write_items", lambda staging: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            judged(tmp_path)
    monkeypatch.setattr("prectr.data.converters.staging.read_batches", lambda *_: pytest.fail("read again"))
    assert "fields parted by comma" in told(judged(tmp_path))


@pytest.mark.parametrize(("delimiter", "encoding"), [("\t", "utf-16"), (";", "latin-1"), ("|", "utf-8-sig")])
def test_dialects_make_no_difference(tmp_path: Path, delimiter: str, encoding: str) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "other").mkdir()
    plain = judged(tmp_path / "plain")
    other = judged(tmp_path / "other", delimiter=delimiter, encoding=encoding)
    assert (plain / "pairs.parquet").read_bytes() == (other / "pairs.parquet").read_bytes()


def test_without_ids_an_item_is_its_text(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "judged.csv", judgements())
    folder = convert_to(tmp_path, f"table {source} {PAIRS}")
    found = rows_of(folder, "items", "item_id", "text")
    assert len({text for _, text in found}) == len(found) == len({item for item, _ in found})
    assert "an item is its text" in told(folder)


def test_items_are_joined_from_other_files_and_what_they_lack_is_told(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "ratings.csv", [{"q": "red shoe", "doc": "gone", "stars": 1}] + [
        {"q": row["query"], "doc": row["id"], "stars": row["rating"]} for row in judgements()
    ])  # fmt: skip
    catalogue = [
        {**item, "price": {"now": 3.5}, "title": item["title"] if item["id"] != "019" else " "} for item in items()
    ]
    (tmp_path / "items.json").write_text(json.dumps(catalogue))
    folder = convert_to(
        tmp_path,
        f"table {source} --query q --item_id doc --level stars --items {tmp_path / 'items.json'} --items_id id --item "
        "title kind --category kind --item_numeric price.now --item_categorical kind",
    )
    assert read_table(folder, "items").to_pylist()[0] == {
        "item_id": "000", "text": "red shoe shoe", "category": "shoe", "num_price_now": 3.5, "cat_kind": "shoe"
    }  # fmt: skip
    assert "1 of 73 rows of judged dropped: the item has no text, or no row of its own" in told(folder)


def test_a_mapping_file_says_what_flags_say(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "judged.csv", judgements())
    (tmp_path / "mine.yaml").write_text("query: query\nitem: [title]\nitem_id: id\nlevel: rating\n")
    folder = convert_to(tmp_path, f"table {source} --mapping {tmp_path / 'mine.yaml'}", "--test_share", "0.3")
    assert len(rows_of(folder, "pairs", "query"))
    (tmp_path / "mine.yaml").write_text("query: query\nitems_text: title\n")
    with pytest.raises(PrectrError, match="unknown key 'items_text'; did you mean"):
        convert_to(tmp_path, f"table {source} --mapping {tmp_path / 'mine.yaml'}")


def test_the_sources_own_split_is_kept(tmp_path: Path) -> None:
    rows = [{**row, "part": "Test" if row["query"].endswith(("0", "1")) else "train"} for row in judgements()]
    source = write_csv(tmp_path / "judged.csv", rows)
    folder = convert_to(tmp_path, f"table {source} {PAIRS} --item_id id --split part")
    split_of = dict(rows_of(folder, "pairs", "query", "split")) | {}
    tested = {query for query, split in rows_of(folder, "pairs", "query", "split") if split == "test"}
    assert tested == {row["query"] for row in rows if row["part"] == "Test"} and "validation" in split_of.values()


def test_a_log_of_what_was_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_csv(tmp_path / "log.csv", log_rows())
    folder = convert_to(
        tmp_path,
        f"table {source} {LOG} --clicked click --user visitor --position rank --category kind "
        "--context_numeric price --history_share 0.2 --new_users_share 0.5",
    )
    impressions = read_table(folder, "impressions").to_pylist()
    assert {row["position"] for row in impressions} == {0, 1, 2, 3, 4}
    assert [row["ctx_num_price"] for row in impressions] == [2.5 * (row["position"] + 1) for row in impressions]
    new = {row["user_id"] for row in impressions if row["split"] == "new_users"}
    assert new and not new & {row["user_id"] for row in impressions if row["split"] in ("train", "validation")}
    behaviours = read_table(folder, "behaviours").to_pylist()
    assert len(behaviours) == 300 and sum(row["clicked"] for row in behaviours) == 60
    first = min(row["timestamp"] for row in impressions)
    assert sum(row["timestamp"] < first for row in behaviours) >= 60, "the first fifth is history only"
    page = next(row for row in impressions if row["page_id"] == 30)
    assert page["timestamp"] == datetime.fromtimestamp(log_rows()[150]["at"], UTC).replace(tzinfo=None)
    assert {row[0] for row in rows_of(folder, "pairs", "split")} == {"unlabelled"}
    assert levels(folder) == ["irrelevant", "related", "substitute", "exact"]
    assert "personal history" not in told(folder)
    assert f"make rank DATA=mine TEACHER={CAUSAL}\n" in capsys.readouterr().out
    assert "positions count from 1: 1 subtracted" in told(folder) and "times are seconds since 1970" in told(folder)


def test_a_log_without_users_categories_or_positions(tmp_path: Path) -> None:
    rows = [
        {name: value for name, value in row.items() if name in ("q", "at", "sku", "title", "click")}
        for row in log_rows()
    ]
    folder = convert_to(tmp_path, f"table {write_lines(tmp_path / 'log.jsonl', rows)} {LOG} --clicked click")
    assert "user_id" not in pq.read_schema(folder / "impressions.parquet").names
    assert set(rows_of(folder, "behaviours", "user_id", "query_category")) == {(None, None)}
    assert not {"new_users"} & {row[0] for row in rows_of(folder, "impressions", "split")}
    assert "no user is known (--user): personal history is off" in told(folder).splitlines()


def test_levels_of_some_rows_of_a_log_are_gold(tmp_path: Path) -> None:
    rows = [{**row, "grade": "" if row["rank"] == 5 else row["rank"] % 3} for row in log_rows()]
    folder = convert_to(tmp_path, f"table {write_csv(tmp_path / 'log.csv', rows)} {LOG} --clicked click --level grade")
    splits = {row[0] for row in rows_of(folder, "pairs", "split")}
    assert splits == {"train", "validation", "test", "unlabelled"}
    assert not (folder / "gold.parquet").exists() and "no table `gold`" in told(folder)
    everything = [{**row, "grade": row["rank"] % 3} for row in log_rows()]
    source = write_csv(tmp_path / "all.csv", everything)
    folder = convert_to(tmp_path, f"table {source} {LOG} --clicked click --level grade")
    assert len(rows_of(folder, "gold", "level"))


@pytest.mark.parametrize("draw", ["popularity", "uniform"])
def test_clicks_alone_get_skipped_items_that_had_been_clicked_before(tmp_path: Path, draw: str) -> None:
    rows = [row for row in log_rows(120) if row["click"]]
    source = write_csv(tmp_path / "clicks.csv", rows)
    flags = ["--user", "visitor", "--category", "kind", "--sampled_skips", "2", "--skip_draw", draw]
    folder = convert_to(tmp_path, f"table {source} {LOG}", *flags)
    stated = json.loads((folder / "summary.json").read_text())["reconstructed"]
    assert stated.startswith("Skipped items are sampled, not logged: up to 2 a page, from items of the same category")
    kinds = {row["sku"]: row["kind"] for row in rows}
    first_click: dict[str, int] = {}
    for row in rows:
        first_click.setdefault(row["sku"], row["at"])
    behaviours = read_table(folder, "behaviours")
    seconds = behaviours["timestamp"].cast(pa.int64()).to_pylist()
    clicked = {row["page_id"]: row["item_id"] for row in behaviours.to_pylist() if row["clicked"]}
    skipped = [(row, at) for row, at in zip(behaviours.to_pylist(), seconds, strict=True) if not row["clicked"]]
    assert len(skipped) > 50
    for row, at in skipped:
        assert first_click[row["item_id"]] < at, "an item was on offer before anyone had clicked it"
        assert kinds[row["item_id"]] == kinds[clicked[row["page_id"]]]


@pytest.mark.parametrize("flags", [["--skip_draw", "popularity"], ["--skip_draw", "uniform"]])
def test_a_later_click_changes_no_earlier_page(tmp_path: Path, flags: list[str]) -> None:
    rows = [row for row in log_rows(80) if row["click"]]
    later = {**rows[-1], "sku": "new", "title": "new thing", "at": rows[-1]["at"] + 5000}
    found = []
    for name, content in (("a", rows), ("b", [*rows, later])):
        (tmp_path / name).mkdir()
        source = write_csv(tmp_path / name / "clicks.csv", content)
        folder = convert_to(tmp_path / name, f"table {source} {LOG} --user visitor --category kind", *flags)
        found.append(rows_of(folder, "behaviours", "timestamp", "query", "item_id", "clicked", "page_id"))
    assert found[0] == found[1][: len(found[0])]


BAD_LOGS = {
    "no item left": ({"title": ""}, "", "no row has both an item id and a text"),
    "no query": ({"q": " "}, "", "no row has both a query and an item with a text"),
    "no click": ({"click": 0}, "", "click: no row is clicked"),
    "click is no click": ({"click": "perhaps"}, "", "click, row 1 (and 99 more): found 'perhaps': write true or false"),
    "position": ({"rank": "top"}, "--position rank", "rank, row 1: found 'top': write a whole number"),
    "number": (
        {"price": "dear"},
        "--context_numeric price",
        "price, row 1 (and 99 more): found 'dear': write a finite number",
    ),
    "no number": (
        {"price": "five"},
        "--item_numeric price",
        "price, row 1 (and 99 more): found 'five': write a finite number",
    ),
    "one time": ({"at": 1_700_000_000}, "", "too few or too close in time to be split"),
    "days": ({"at": 19000}, "", "found the number 19000, which may be anything"),
    "local dates": (
        {"at": "03/04/2021"},
        "",
        "at, row 1 (and 99 more): found '03/04/2021', which is no time in iso: say which it is with --time_format",
    ),
}


@pytest.mark.parametrize("case", BAD_LOGS)
def test_bad_logs_are_one_sentence(tmp_path: Path, case: str) -> None:
    change, flags, message = BAD_LOGS[case]
    source = write_lines(tmp_path / "log.jsonl", [{**row, **change} for row in log_rows(20)])
    with pytest.raises(PrectrError) as error:
        convert_to(tmp_path, f"table {source} {LOG} --clicked click {flags}")
    assert message in str(error.value) and str(source) in str(error.value)
    assert not (tmp_path / "artifacts" / "mine" / "data").exists()


BAD_FLAGS = {
    "--query q --level r": "--item: name the column",
    "--query q --item t": "name --level for judged pairs, --clicked and --timestamp",
    "--query q --item t --clicked c": "name the column of times with --timestamp",
    "--query q --item t --level r --items b.csv": "name its column in the rows with --item_id",
    "--query q --item t --level r --item_numeric a.b a-b": "would both be num_a_b",
    "--query q --item t --level r --level_cuts 2 1": "write them in ascending order",
    "--query q --item t --level r --level_cuts 2 --level_quantiles 3": "give one of them",
    "--query q --item t --level r --level_names a a": "a name occurs twice",
    "--query q --item t --level r --test_share 0": "give a share above 0",
    "--query q --item t --level r --test_share 0.6 --validation_share 0.4": "leave nothing to train on",
    "--query q --item t --level r --unlabelled_per_query -1": "give numbers of pairs",
    "--query q --item t --timestamp r --sampled_skips 0": "give 1 to 1000 skipped items",
    "--query q --item t --level r --delimiter ab": "or a single character",
    "--query q --item t --level r --name a/b": "give the data set a plain name",
}


@pytest.mark.parametrize("flags", BAD_FLAGS)
def test_flags_that_make_no_sense_are_one_sentence(tmp_path: Path, flags: str) -> None:
    source = write_csv(tmp_path / "a.csv", [{"q": "a", "t": "b", "r": number} for number in range(9)])
    (tmp_path / "b.csv").touch()
    argv = [word if word != "b.csv" else str(tmp_path / "b.csv") for word in flags.split()]
    with pytest.raises(PrectrError, match=BAD_FLAGS[flags]):
        convert(read_conversion(["table", str(source), "--artifacts", str(tmp_path), "--name", "mine", *argv]))


def test_what_fails_leaves_no_copy_of_the_source(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "judged.csv", [{**row, "rating": "high"} for row in judgements()])
    with pytest.raises(PrectrError, match="found 'high'"):
        convert_to(tmp_path, f"table {source} {PAIRS}")
    assert not list((tmp_path / "artifacts").rglob("*.parquet"))


def test_tables_somebody_wrote_by_hand_are_not_replaced(tmp_path: Path) -> None:
    folder = judged(tmp_path)
    (folder / "step.json").unlink()
    with pytest.raises(PrectrError, match="holds tables that no command wrote: give another --name"):
        judged(tmp_path)
    assert (folder / "pairs.parquet").exists()


def test_unknown_formats_flags_and_sources_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="convert excel: no such format; use table, homedepot"):
        convert(read_conversion(["excel", "a.xls"]))
    with pytest.raises(PrectrError, match="name the source before the flags"):
        convert(read_conversion(["table", "--name", "mine", "--query", "q", "--item", "t", "--level", "r"]))
    with pytest.raises(PrectrError, match="unknown flag '--qery'; did you mean '--query'"):
        convert(
            read_conversion(
                ["table", "a.csv", "--name", "mine", "--query", "q", "--item", "t", "--level", "r", "--qery", "q"]
            )
        )
    with pytest.raises(PrectrError, match="nowhere.csv: no such file or folder"):
        convert(
            read_conversion(["table", "nowhere.csv", "--name", "mine", "--query", "q", "--item", "t", "--level", "r"])
        )


@pytest.mark.parametrize("argv", [[], ["--help"], ["table", "--help"]])
def test_help_says_how(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        convert(read_conversion(argv))
    except SystemExit as stop:
        assert stop.code == 0
    shown = capsys.readouterr().out
    assert "python -m data convert" in shown and ("--level_quantiles" in shown) == (argv == ["table", "--help"])


MIXED = {
    "users": ("visitor", "someone else", "--page rank2"),
    "queries": ("q", "another query", "--page rank2"),
    "times": ("at", 1_700_999_999, "--page rank2"),
    "categories": ("kind2", "garden", "--query_category kind2 --page rank2"),
    "categories of no named page": ("kind2", "garden", "--query_category kind2"),
    "a user and none": ("visitor", None, "--page rank2"),
}


@pytest.mark.parametrize("case", MIXED)
def test_a_page_of_several_is_a_defect(tmp_path: Path, case: str) -> None:
    column, value, flags = MIXED[case]
    rows = [{**row, "rank2": f"p{place // 5}", "kind2": "home"} for place, row in enumerate(log_rows())]
    good = convert_to(
        tmp_path / "good",
        f"table {write_lines(tmp_path / 'good.jsonl', rows)} {LOG} --user visitor --clicked click {flags}",
    )
    assert len({row[0] for row in rows_of(good, "behaviours", "page_id")}) == 60
    rows[7] = {**rows[7], column: value}
    source = write_lines(tmp_path / "log.jsonl", rows)
    what = "users" if case == "a user and none" else case.split()[0]
    with pytest.raises(PrectrError, match=rf"log.jsonl: \w+, row .: its page has several {what}, such as"):
        convert_to(tmp_path, f"table {source} {LOG} --user visitor --clicked click {flags}")


@pytest.mark.parametrize("turned", [False, True])
def test_what_a_log_says_of_an_item_is_what_it_said_first_in_time(tmp_path: Path, turned: bool) -> None:
    rows = [{**row, "sold": place, "brand": f"b{place // 150}"} for place, row in enumerate(log_rows())]
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row["sku"], row["sold"])
    source = write_csv(tmp_path / "log.csv", rows[::-1] if turned else rows)
    flags = "--clicked click --item_numeric sold --item_categorical brand"
    folder = convert_to(tmp_path, f"table {source} {LOG} {flags}")
    found = rows_of(folder, "items", "item_id", "num_sold", "cat_brand")
    assert len(found) == 20 and all(value <= first[item] + 4 and brand == "b0" for item, value, brand in found)
    assert "20 items have several values of num_sold: the earliest counts (--context_numeric" in told(folder)
