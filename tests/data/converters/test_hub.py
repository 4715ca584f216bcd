"""A data set of the hub, or a folder of one, as a source: rows as they were written, a split by name, one sentence."""

from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import OfflineModeIsEnabled

from prectr.data.converters.arguments.command import read_conversion
from prectr.data.converters.convert import convert
from prectr.data.converters.reading import readers
from prectr.data.converters.reading.files import fingerprint
from prectr.data.converters.reading.readers import Reading, read_batches
from prectr.shared.errors import PrectrError
from tests.data.converters.sources import convert_to, judgements, rows_of, told, write_csv

COLUMNS = ("id", "title", "rating")
ROWS = [("007", "NA", "2"), ("1e5", "two words", None), ("8", "tea", "0")]
TABLE = {"id": ["007", "1e5", "8"], "title": ["NA", "two words", "tea"], "rating": [2, None, 0], "other": [[1], [], []]}


def read(source: str, *columns: str) -> list[tuple]:
    names = columns or COLUMNS
    batches = list(read_batches(Path(source), names, Reading()))
    assert [row["row"] for batch in batches for row in batch.to_pylist()] == [1, 2, 3]
    return [tuple(row[name] for name in names) for batch in batches for row in batch.to_pylist()]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def saved(folder: Path) -> None:
    datasets.Dataset.from_dict(TABLE).save_to_disk(folder)


def saved_splits(folder: Path) -> None:
    rows = datasets.Dataset.from_dict(TABLE)
    datasets.DatasetDict({"train": rows, "test": rows.select([0])}).save_to_disk(folder)


def parquet(folder: Path) -> None:
    folder.mkdir()
    pq.write_table(pa.table(TABLE), folder / "train.parquet")


def csv(folder: Path) -> None:
    folder.mkdir()
    (folder / "train.csv").write_text("id,title,rating\n007,NA,2\n1e5,two words,\n8,tea,0\n")


@pytest.mark.parametrize("write", [saved, saved_splits, parquet, csv])
def test_a_folder_gives_its_rows_as_they_were_written(
    tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "set")
    for size in (readers.BATCH, 2):
        monkeypatch.setattr(readers, "BATCH", size)
        assert read(f"hf:{tmp_path}/set:train") == ROWS
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".arrow" and "cache" in path.parts] == []


def test_a_data_set_becomes_tables_as_a_file_of_it_does(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "judged.csv", judgements())
    named = "--query query --item title --item_id id --level rating"
    of_file = convert_to(tmp_path, f"table {source} {named}")
    rows = [{name: str(value) for name, value in row.items()} for row in judgements()]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "set")
    (tmp_path / "hub").mkdir()
    of_set = convert_to(tmp_path / "hub", f"table hf:{tmp_path}/set {named}")
    for table in ("pairs", "items"):
        names = pq.read_schema(of_file / f"{table}.parquet").names
        assert rows_of(of_set, table, *names) == rows_of(of_file, table, *names)
    assert "72 rows read from hf:" in told(of_set)


def test_a_changed_folder_is_another_source(tmp_path: Path) -> None:
    parquet(tmp_path / "set")
    source = Path(f"hf:{tmp_path}/set:train")
    before = fingerprint(source)
    assert fingerprint(source) == before != fingerprint(Path(f"hf:{tmp_path}/set:test"))
    pq.write_table(pa.table(TABLE).slice(1), tmp_path / "set" / "train.parquet")
    assert fingerprint(source) != before


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("hf:{}/set:trian", "has no split 'trian': name one of train, test"),
        ("hf:{}/set", "has 2 splits: name one of train, test, such as hf:"),
        ("hf:{}/none", "no such folder"),
        ("hf:", "write hf:org/name, hf:org/name:split"),
        ("hf:a/b:c:d:e", "write hf:org/name"),
        ("hf:org/name", "the hub cannot be reached .*connect to the network"),
        ("hf:org/name with spaces", "no such data set on the hub|cannot be reached"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path, source: str, sentence: str) -> None:
    saved_splits(tmp_path / "set")
    with pytest.raises(PrectrError, match=sentence) as found:
        list(read_batches(Path(source.format(tmp_path)), COLUMNS, Reading()))
    assert "\n" not in str(found.value)
    if "set" not in source:
        with pytest.raises(PrectrError, match=sentence):
            fingerprint(Path(source.format(tmp_path)))


def test_a_column_that_is_not_there_or_holds_lists_is_named(tmp_path: Path) -> None:
    parquet(tmp_path / "set")
    with pytest.raises(PrectrError, match="column 'name' is missing; found id, title, rating, other"):
        read(f"hf:{tmp_path}/set", "id", "name")
    with pytest.raises(PrectrError, match="column 'other' is list"):
        read(f"hf:{tmp_path}/set", "id", "other")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (DatasetNotFoundError("Dataset 'org/name' doesn't exist"), "no such data set on the hub: correct its name"),
        (ConnectionError("Couldn't reach\n'org/name'"), r"cannot be reached \(Couldn't reach 'org/name'\)"),
        (ValueError("Config name is missing."), "cannot open it .*Config name is missing.*hf:org/name:configuration"),
    ],
)
def test_what_the_hub_refuses_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset_builder", refuse)
    with pytest.raises(PrectrError, match=sentence):
        list(read_batches(Path("hf:org/name"), COLUMNS, Reading()))


def test_a_commit_on_the_hub_is_what_tells_a_changed_source(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PrectrError, match="cannot be reached"):
        fingerprint(Path("hf:org/name:train"))
    info = type("Info", (), {"sha": "0123abc"})
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, name: info)
    assert fingerprint(Path("hf:org/name:train")) == [None, "train", "0123abc"]
    assert isinstance(OfflineModeIsEnabled("x"), ConnectionError)


def test_other_formats_read_files_alone(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="hf:org/name: convert wands reads files alone"):
        convert(read_conversion(["wands", "hf:org/name", "--name", "x", "--artifacts", str(tmp_path)]))
