"""A log, its judgements and its catalogue in files of their own, as tools export them: one call, nothing lost."""

import csv
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from prectr.data.contract import levels
from prectr.data.converters.arguments.command import read_conversion
from prectr.data.converters.convert import convert
from prectr.shared.errors import PrectrError
from tests.data.converters.sources import convert_to, items, judgements, log_rows, rows_of, told, write_csv

FLAGS = "--query q --item_id sku --item title --clicked click --timestamp at --user visitor --position rank"


def german(value: float) -> str:
    return f"{value:,.2f}".replace(",", " ").replace(".", ",").replace(" ", ".")


def three_files(folder: Path, **changes: Any) -> str:
    """A log without texts; judgements, also of what nobody was shown; a catalogue. Dates and numbers as in Germany.

    Args:
        changes: of a column of the log: its value in row 3.
    """
    log = [
        {
            **{name: row[name] for name in ("visitor", "q", "sku", "rank")},
            "at": datetime.fromtimestamp(row["at"], UTC).strftime("%d.%m.%Y %H:%M"),
            "click": "klick" if row["click"] else "gezeigt",
            "rabatt": german(0.5 * row["rank"]),
        }
        for row in log_rows()
    ]
    log[2] |= changes
    rated = [{"suche": row["query"], "artikel": row["id"], "note": row["rating"]} for row in judgements()]
    catalogue = [
        {"nr": item["id"], "title": item["title"], "preis": german(1234.5 + 1000 * place)}
        for place, item in enumerate(items())
    ]
    log_file, ratings, goods = (folder / name for name in ("log.csv", "ratings.csv", "catalogue.csv"))
    for path, rows in ((log_file, log), (ratings, rated), (goods, catalogue)):
        write_csv(path, rows, ";")
    return (
        f"table {log_file} --judgements {ratings} --judgements_query suche --judgements_item_id artikel --level note "
        f"--items {goods} --items_id nr --item_numeric preis --context_numeric rabatt {FLAGS}"
    )


WRITTEN = ("--decimal", ",", "--time_format", "%d.%m.%Y %H:%M", "--clicked_value", "Klick")


def test_every_judged_pair_is_kept_and_every_value_is_read(tmp_path: Path) -> None:
    folder = convert_to(tmp_path, three_files(tmp_path), *WRITTEN)
    gold = {
        row[:2]: row[2]
        for row in rows_of(folder, "pairs", "query", "item_id", "level", "split")
        if row[3] != "unlabelled"
    }
    assert gold == {(row["query"], row["id"]): row["rating"] for row in judgements()}
    shown = {row[:2] for row in rows_of(folder, "impressions", "query", "item_id")}
    assert set(gold) - shown, "most were never shown"
    assert levels(folder) == ["rating 0", "rating 1", "rating 2"]
    assert rows_of(folder, "items", "item_id", "text", "num_preis")[1] == ("001", "blue shoe", 2234.5)
    names = ("timestamp", "item_id", "clicked", "query")
    expected = sorted((row["at"] // 60 * 60, row["sku"], bool(row["click"]), row["q"]) for row in log_rows())
    found = [(int(row[0].replace(tzinfo=UTC).timestamp()), *row[1:]) for row in rows_of(folder, "behaviours", *names)]
    assert sorted(found) == expected
    rabatt = dict(rows_of(folder, "impressions", "position", "ctx_num_rabatt"))
    assert rabatt == {place: 0.5 * (place + 1) for place in range(5)}
    assert "times are written as %d.%m.%Y %H:%M" in told(folder)


def test_names_of_the_log_are_those_of_the_judgements_unless_said_otherwise(tmp_path: Path) -> None:
    command = three_files(tmp_path)
    rows = [{"q": row["query"], "sku": row["id"], "note": row["rating"]} for row in judgements()]
    write_csv(tmp_path / "ratings.csv", rows, ";")
    same = command.replace("--judgements_query suche --judgements_item_id artikel ", "")
    assert len(rows_of(convert_to(tmp_path, same, *WRITTEN), "pairs", "query")) > len(rows)


def test_a_judged_item_that_the_catalogue_lacks_is_told(tmp_path: Path) -> None:
    command = three_files(tmp_path)
    with (tmp_path / "ratings.csv").open("a") as file:
        csv.writer(file, delimiter=";").writerow(["red shoe", "gone", 1])
    folder = convert_to(tmp_path, command, *WRITTEN)
    assert "1 of 73 rows of judged dropped: the item has no text, or no row of its own" in told(folder)


def test_all_that_is_wrong_is_told_at_once_by_the_names_of_the_file(tmp_path: Path) -> None:
    command = three_files(tmp_path, at="31.02.2024 10:00", rank="oben", rabatt="viel")
    for name, row in (
        ("ratings.csv", "red shoe;000;gut"),
        ("catalogue.csv", "099;green hat;teuer"),
        ("log.csv", "u1;q"),
    ):
        with (tmp_path / name).open("a") as file:
            file.write(row + "\n")
    with pytest.raises(PrectrError) as error:
        convert_to(tmp_path, command, *WRITTEN)
    first, *lines = str(error.value).splitlines()
    assert first.startswith("6 things to mend")
    for said in (
        "log.csv: row 301 (line 302) has 2 fields but the first line names 7",
        "catalogue.csv: preis, row 21: found 'teuer': write a finite number",
        "log.csv: rabatt, row 3: found 'viel': write a finite number",
        "log.csv: at, row 3: found '31.02.2024 10:00', which is no time as %d.%m.%Y %H:%M",
        "log.csv: rank, row 3: found 'oben': write a whole number",
        "ratings.csv: note, row 73: found 'gut' (labels: '0', '1', '2', 'gut'): write a number",
    ):
        assert [line for line in lines if said in line], f"{said} not in {lines}"
    assert not (tmp_path / "artifacts" / "mine" / "data").exists()


def test_all_columns_that_are_missing_are_named_at_once(tmp_path: Path) -> None:
    command = three_files(tmp_path).replace("visitor", "besucher").replace("rank", "platz")
    with pytest.raises(PrectrError, match=r"log.csv: columns 'besucher', 'platz' are missing; found visitor, q, sku"):
        convert_to(tmp_path, command, *WRITTEN)


@pytest.mark.parametrize(
    ("found", "other", "said"),
    [
        ("ratings.csv", "phrase;nr;stars", "'suche', 'artikel', 'note' are missing; found phrase, nr, stars: .*"
         r"\(--judgements_query, --judgements_item_id, --level\)"),
        ("catalogue.csv", "nummer;titel;euro", r"found nummer, titel, euro: .*\(--items_id, --item, --item_numeric\)"),
        ("log.csv", "a;b;c", r"\(--context_numeric, --query, --item_id, --clicked, --timestamp, --user, --position\)"),
    ],
)  # fmt: skip
def test_missing_columns_are_told_with_the_flags_of_their_file(
    tmp_path: Path, found: str, other: str, said: str
) -> None:
    command = three_files(tmp_path)
    (tmp_path / found).write_text(f"{other}\n1;2;3\n")
    with pytest.raises(PrectrError, match=f"{found}: columns .*{said}"):
        convert_to(tmp_path, command, *WRITTEN)


def test_a_number_with_a_point_where_commas_are_expected_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match=r"log.csv: rabatt, row 3: found '1.5' where decimals stand behind a comma"):
        convert_to(tmp_path, three_files(tmp_path, rabatt="1.5"), *WRITTEN)
    with pytest.raises(PrectrError, match=r"preis, row 1 \(and 19 more\): found '1.234,50'.*or say --decimal ,"):
        convert_to(tmp_path, three_files(tmp_path), *WRITTEN[2:])


def test_a_value_that_no_row_has_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match=r"click: no row says 'buy' .*; found 'gezeigt', 'klick': name one of these"):
        convert_to(tmp_path, three_files(tmp_path), *WRITTEN[:4], "--clicked_value", "buy")


def test_several_values_may_be_clicks(tmp_path: Path) -> None:
    folder = convert_to(tmp_path, three_files(tmp_path, click="kauf"), *WRITTEN, "kauf")
    clicks = sum(row["click"] for row in log_rows())
    found = sum(row[0] for row in rows_of(folder, "behaviours", "clicked"))
    assert found == clicks + (1 - log_rows()[2]["click"])


@pytest.mark.parametrize(
    ("flags", "told_"),
    [
        ("--judgements r.csv --level l --timestamp t --item_id i", "--judgements beside a log need --items"),
        ("--judgements r.csv --timestamp t --item_id i --items c.csv", "--judgements beside a log need --level"),
        ("--judgements r.csv --level l --item_id i --items c.csv", "--judgements beside a log need --timestamp"),
        ("--judgements_query q --level l", "name the files with --judgements"),
        ("--timestamp t --clicked_value click", "name the column with --clicked"),
        ("--timestamp t --time_format %H:%M", "it tells no day of a year"),
        ("--timestamp t --time_format %Q", "--time_format %Q: .*: write one such as %d.%m.%Y"),
        ("--timestamp t --time_format %d.%m.%Y --time_unit iso", "give one of them"),
    ],
)
def test_flags_that_do_not_go_together_are_one_sentence(flags: str, told_: str) -> None:
    with pytest.raises(PrectrError, match=told_):
        read_conversion(["table", "log.csv", "--name", "mine", "--query", "q", "--item", "title", *flags.split()])


def test_more_broken_rows_than_can_be_told_are_counted(tmp_path: Path) -> None:
    command = three_files(tmp_path)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("a;b\n" * 40)
    with pytest.raises(PrectrError, match="37 more rows have another number of fields"):
        convert_to(tmp_path, command, *WRITTEN)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("a;b\n" * 1000)
    with pytest.raises(PrectrError, match=r"row 1301 \(line 1302\) has 2 fields"):
        convert_to(tmp_path, command, *WRITTEN)


def test_a_refused_row_is_refused_again_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = three_files(tmp_path)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("a;b\n")
    with monkeypatch.context() as patched:
        patched.setattr(
            "prectr.data.converters.write.check_values", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            convert_to(tmp_path, command, *WRITTEN)
    assert list((tmp_path / "artifacts" / "mine").glob(".data.*.part"))
    with pytest.raises(PrectrError, match="row 301"):
        convert_to(tmp_path, command, *WRITTEN)


def test_the_readmes_spreadsheet_is_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files as Excel writes them in Germany, and the command of data/README.md, word for word."""
    text = (Path(__file__).parents[3] / "data" / "README.md").read_text(encoding="utf-8")
    block = text.partition("### A spreadsheet's file")[2].partition("```bash")[2].partition("```")[0]
    command = shlex.split(block.replace("\\\n", " "))
    log = [
        {
            "Suche": row["q"].replace("shoe", "größe"),
            "Nr": row["sku"],
            "Klick": "ja" if row["click"] else "nein",
            "Datum": datetime.fromtimestamp(row["at"], UTC).strftime("%d.%m.%Y %H:%M"),
            "Kunde": row["visitor"],
        }
        for row in log_rows()
    ]
    rated = [{"Suchbegriff": row["query"], "Artikelnr": row["id"], "Note": row["rating"]} for row in judgements()]
    goods = [{"Nr": item["id"], "Titel": item["title"], "Preis": "1.234,50"} for item in items()]
    for name, rows in (("log.csv", log), ("noten.csv", rated), ("katalog.csv", goods)):
        write_csv(tmp_path / name, rows, ";", "cp1252")
    monkeypatch.chdir(tmp_path)
    assert command[:4] == ["python", "-m", "data", "convert"]
    convert(read_conversion(command[4:]))
    folder = tmp_path / "artifacts" / "mine" / "data"
    assert {price for (price,) in rows_of(folder, "items", "num_preis")} == {1234.5}
    assert any("größe" in query for (query,) in rows_of(folder, "behaviours", "query"))
    assert sum(level is not None for (level,) in rows_of(folder, "pairs", "level")) == len(rated)
