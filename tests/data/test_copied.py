"""Tables and logs that lie in a store, or in another folder: the same data set as of files here."""

from pathlib import Path

import pytest

from prectr.data.__main__ import main
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import read_record
from prectr.shared.store.uri import place_of
from tests.shared.store.conftest import machine as machine
from tests.shared.store.conftest import server as server
from tests.shared.store.server import BUCKET

PAGES = Path(__file__).parents[2] / "examples" / "pages.jsonl"


def test_a_log_in_a_store_is_converted_as_one_that_is_here(
    server: dict[str, str], machine: Path, tmp_path: Path
) -> None:
    place = place_of(f"s3://{BUCKET}/{tmp_path.name}/logs")
    (place / PAGES.name).put(PAGES)
    made = []
    for number, source in enumerate([str(PAGES), f"{place.uri}/{PAGES.name}", place.uri]):
        where = ["--name", "mine", "--artifacts", str(tmp_path / str(number))]
        main(["convert", "result_pages", source, *where])
        made.append(read_record(tmp_path / str(number) / "mine" / "data"))
    assert made[0].fingerprint == made[1].fingerprint == made[2].fingerprint
    assert made[0].files["items.parquet"] == made[1].files["items.parquet"]


def test_tables_are_copied_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--profile", "smoke", "--artifacts", str(tmp_path / "one")])
    tables = tmp_path / "one" / "toy" / "data"
    fetch = ["fetch", str(tables), "--name", "mine", "--artifacts", str(tmp_path / "two")]
    main(fetch)
    copied = tmp_path / "two" / "mine" / "data"
    for file in tables.glob("*.parquet"):
        assert (copied / file.name).read_bytes() == file.read_bytes()
    assert capsys.readouterr().out.count("building") == 2
    main(fetch)
    assert "up to date" in capsys.readouterr().out


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(PrectrError, match="it is no folder of tables"):
            main(["fetch", str(source), "--name", "mine", "--artifacts", str(tmp_path / "two")])
