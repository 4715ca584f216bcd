import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data.__main__ import main
from prectr.data.checks.validate import validate
from prectr.data.contract import table_path
from prectr.shared.errors import PrectrError
from prectr.shared.run.contents import remark_on_tables
from prectr.shared.run.steps import fingerprint_of_tables, read_record
from tests.data.journey.tiny_journey import write_phrasebook


def build_toy(folder: Path, *flags: str) -> Path:
    main(["build", "--profile", "smoke", "--artifacts", str(folder), *flags])
    return folder / "toy" / "data"


def test_a_build_is_valid_summarised_and_not_repeated(tmp_path: Path) -> None:
    folder = build_toy(tmp_path)
    validate(folder)
    assert json.loads((folder / "summary.json").read_text())["rows"]["users"] == 60
    first = read_record(folder)
    written = table_path(folder, "items").stat().st_mtime_ns
    build_toy(tmp_path)
    assert read_record(folder) == first
    assert table_path(folder, "items").stat().st_mtime_ns == written
    build_toy(tmp_path, "--seed", "99")
    assert read_record(folder).fingerprint != first.fingerprint


def test_the_tiny_journey_is_built_from_the_command_line(tmp_path: Path, raw_folder: Path) -> None:
    phrasebook = write_phrasebook(tmp_path)
    flags = [
        "--raw_folder",
        str(raw_folder),
        "--phrasebook",
        str(phrasebook),
        "--households",
        "12",
        "--least_sales",
        "10",
    ]
    flags += ["--artifacts", str(tmp_path), "--unlabelled_pairs", "50"]
    main(["build", *flags])
    folder = tmp_path / "journey" / "data"
    first = read_record(folder).fingerprint
    phrasebook.write_text(phrasebook.read_text().replace("moo juice", "moo drink"))
    main(["build", *flags])
    assert read_record(folder).fingerprint != first


def test_validate_says_whether_a_folder_keeps_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build_toy(tmp_path)
    main(["validate", str(folder)])
    assert "keeps the contract" in capsys.readouterr().out
    table_path(folder, "pairs").unlink()
    with pytest.raises(PrectrError, match="pairs.parquet is missing"):
        main(["validate", str(folder)])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["bild"], "python -m data bild: unknown verb; did you mean 'build'"),
        (["validate"], "missing: FOLDER, folder of the tables"),
        (["check", "--init_from", "random"], "missing: FOLDER, folder of the tables"),
        (["validate", "a", "b"], "'b' belongs to no flag"),
        (["validate", "a", "--profile", "smoke"], "unknown flag '--profile'"),
    ],
)
def test_a_wrong_command_shows_the_right_one(argv: list[str], message: str) -> None:
    with pytest.raises(PrectrError, match=message):
        main(argv)


def test_a_wrong_setting_names_the_closest() -> None:
    with pytest.raises(PrectrError, match="--train_pages"):
        main(["build", "--profile", "smoke", "--train_page", "3"])


@pytest.mark.parametrize("command", ["build", "convert"])
def test_a_run_in_the_folder_is_waited_for(tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that changed under a run would be half of what it is made of."""
    folder, held = build_toy(tmp_path), []

    @contextmanager
    def hold(where: Path) -> Iterator[None]:
        before = read_record(folder).fingerprint
        yield
        held.append((where, before != read_record(folder).fingerprint))

    monkeypatch.setattr("prectr.data.pipeline.hold", hold)
    monkeypatch.setattr("prectr.data.converters.convert.hold", hold)
    if command == "build":
        build_toy(tmp_path, "--seed", "5")
    else:
        log = tmp_path / "log.csv"
        log.write_text("q,t,r\n" + "".join(f"query {n},item {m},{m}\n" for n in range(9) for m in range(3)))
        flags = ["--query", "q", "--item", "t", "--level", "r", "--name", "toy", "--artifacts", str(tmp_path)]
        main(["convert", "table", str(log), *flags])
    assert held == [(tmp_path / "toy", True)]


EDITS: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "a text": ("items", lambda rows: _with(rows, "text", 3, "another text")),
    "a category": ("items", lambda rows: _with(rows, "category", 3, "another category")),
    "a click": ("impressions", lambda rows: _with(rows, "clicked", 7, not rows["clicked"][7].as_py())),
    "a query": ("impressions", lambda rows: _with(rows, "query", 7, "another query")),
    "an event less": ("behaviours", lambda rows: rows.slice(1)),
    "a level": ("pairs", lambda rows: _with(rows, "level", 0, (rows["level"][0].as_py() or 0) ^ 1)),
    "a split": ("pairs", lambda rows: _with(rows, "split", 0, "unlabelled")),
}


def _with(rows: pa.Table, column: str, row: int, value: object) -> pa.Table:
    values = rows[column].to_pylist()
    values[row] = value
    return rows.set_column(
        rows.column_names.index(column), rows.schema.field(column), pa.array(values, rows[column].type)
    )


@pytest.mark.parametrize("edit", EDITS)
def test_a_table_edited_afterwards_is_another_one(tmp_path: Path, edit: str) -> None:
    """Contents decide, not the record, and the next run says that they are not what the command wrote."""
    folder = build_toy(tmp_path)
    before, (table, change) = fingerprint_of_tables(folder), EDITS[edit]
    whole = table_path(folder, table).read_bytes()
    rows = pq.read_table(table_path(folder, table))
    pq.write_table(change(rows), table_path(folder, table))
    assert fingerprint_of_tables(folder) != before
    assert f"{table}.parquet was edited or damaged since" in remark_on_tables(folder)
    table_path(folder, table).write_bytes(whole)
    assert fingerprint_of_tables(folder) == before and remark_on_tables(folder) == ""
