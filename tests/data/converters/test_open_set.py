"""Candidates of one's own log: what was shown, what is near in words or of a category, nothing that came later."""

import json
from pathlib import Path

import pytest

from prectr.shared.errors import PrectrError
from tests.data.converters.sources import convert_to, log_rows, rows_of, told, write_csv

LOG = (
    "--query q --item title --item_id sku --timestamp at --clicked click --user visitor --position rank --test_share .3"
)


def test_open_pages_hold_what_was_shown_and_what_is_near(tmp_path: Path) -> None:
    new = {"sku": "900", "title": "red shoe of tomorrow", "kind": "shoe"}
    rows = [*log_rows(), *({**row, **new} for row in log_rows()[-1:])]
    source = write_csv(tmp_path / "log.csv", rows)
    folder = convert_to(tmp_path, f"table {source} {LOG} --category kind --open_pages 5 --open_candidates 4")
    names = ("split", "page_id", "query", "item_id", "position", "clicked", "user_id")
    found = rows_of(folder, "impressions", *names)
    candidates = [row[1:] for row in found if row[0] == "open"]
    shown = {row[1:4]: row[5] for row in found if row[0] == "test"}
    texts = {row[0]: row[1:] for row in rows_of(folder, "items", "item_id", "text", "category")}
    pages = {row[0] for row in candidates}
    assert len(pages) == 5 and pages <= {key[0] for key in shown}
    assert {row[3] for row in candidates} == {-1} and all(row[5] for row in candidates)
    for page in pages:
        own = {row[2]: row[4] for row in candidates if row[0] == page}
        [query] = {row[1] for row in candidates if row[0] == page}
        there = {item: clicked for (number, _, item), clicked in shown.items() if number == page}
        assert there.items() <= own.items() and len(own) == len(there) + 4
        kinds = {texts[item][1] for item in there}
        for item in own.keys() - there.keys():
            text, kind = texts[item]
            assert not own[item] and item != "900" and ({*query.split()} & {*text.split()} or kind in kinds)
    assert "Open candidates are made, not logged" in json.loads((folder / "summary.json").read_text())["reconstructed"]
    assert rows_of(folder, "behaviours", "page_id").count((next(iter(pages)),)) in (5, 6)


def test_there_are_none_unless_asked_for_or_where_the_context_is_unknown(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "log.csv", log_rows())
    folder = convert_to(tmp_path, f"table {source} {LOG}")
    assert "open" not in {row[0] for row in rows_of(folder, "impressions", "split")}
    folder = convert_to(tmp_path, f"table {source} {LOG} --context_numeric price --open_pages 5")
    assert "open" not in {row[0] for row in rows_of(folder, "impressions", "split")}
    assert "no open candidates: ctx_num_price is not known of what was not shown" in told(folder)


def test_no_number_of_candidates_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="--open_pages, --open_candidates: give numbers of pages from 0"):
        convert_to(tmp_path, f"table log.csv {LOG} --open_candidates 0")
