"""`rank export` writes graphs that score as torch does, which `rank serve` uses and says so, or refuses to."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from prectr.rank.__main__ import main
from prectr.rank.serving.export import export as exporting
from prectr.rank.serving.export.exported import Exported, folder_of
from prectr.rank.serving.live import LiveRanker
from prectr.rank.serving.texts import kept_texts
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import read_record
from tests.rank.serving.live_shop import requests_of, worst
from tests.rank.toy_run import split_of


@pytest.fixture(scope="module")
def exported(home: Path) -> Path:
    """The ranker's folder, with its graphs."""
    return home / "ranker"


def test_every_file_is_listed_and_the_distance_is_told(exported: Path) -> None:
    folder = folder_of(exported)
    files = {path.name for path in folder.glob("*.onnx")}
    assert len(files) == 5
    assert files | {"parity.json"} == set(read_record(folder).files)
    assert json.loads((folder / "parity.json").read_text())["p_click_max_delta"] < exporting.LARGEST_DIFFERENCE


def test_pages_are_scored_as_without_it_and_not_by_torch(
    home: Path, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    requests = list(requests_of(split_of(home, "test")).values())[:5]
    plain = LiveRanker.open(exported, home / "data")
    expected = [plain.rank(request).p_click for request in requests]
    fast = LiveRanker.open(exported, home / "data", exported=Exported.beside(exported))
    assert "is used: queries and pages go through ONNX Runtime" in capsys.readouterr().out

    def refuse(*_: object) -> None:
        raise AssertionError("torch computes")

    monkeypatch.setattr(LevelEncoder, "encode", refuse)
    monkeypatch.setattr(type(plain.scorer.ranker.model), "score", refuse)
    for request, values in zip(requests, expected, strict=True):
        assert worst(fast.rank(request).p_click, values) < 1e-5


def test_a_second_export_has_nothing_to_do(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr(exporting, "write_graphs", refuse)
    main(["export", str(exported)])


def test_graphs_of_another_ranker_are_not_used(exported: Path, capsys: pytest.CaptureFixture) -> None:
    config = exported / "config.json"
    before = config.read_text()
    config.write_text(before + "\n")
    assert Exported.beside(exported) is None
    assert "it is of another ranker: run `python -m rank export" in capsys.readouterr().out
    config.write_text(before)


def test_without_onnxruntime_nothing_changes_but_a_line(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("prectr.rank.serving.export.exported.find_spec", lambda name: None)
    assert Exported.beside(exported) is None
    assert "run `pip install 'prectr[serve]'`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("measured", "moved"), [("largest_difference", r"P\(click\)"), ("pairs_difference", r"P\(level\)")]
)
def test_graphs_that_move_a_probability_are_refused(
    exported: Path, home: Path, monkeypatch: pytest.MonkeyPatch, measured: str, moved: str
) -> None:
    graphs = list(folder_of(exported).glob("*.onnx"))

    def copied(_: Path, work: Path) -> list[tuple[None, str]]:
        return [(None, Path(shutil.copy(graph, work)).name) for graph in graphs]

    monkeypatch.setattr(exporting, "write_graphs", copied)
    for name in ("largest_difference", "pairs_difference"):
        monkeypatch.setattr(exporting, name, lambda *_, found=2e-4 if name == measured else 0.0: found)
    monkeypatch.setattr(exporting, "inputs_of", lambda folder: {"network": "another"})
    with pytest.raises(PrectrError, match=f"the graphs move {moved} by up to 0.0002"):
        main(["export", str(home / "ranker")])


def test_what_is_kept_for_serving_is_not_made_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LiveRanker.open(home / "ranker", home / "data")

    def refuse(*_: object) -> None:
        raise AssertionError("the catalogue is read again")

    monkeypatch.setattr(kept_texts, "encoded", refuse)
    assert exporting.largest_difference(home / "ranker", home / "data", None) == 0


def test_without_pages_items_are_drawn(home: Path) -> None:
    texts = {str(number): f"text {number}" for number in range(40)}
    first, *_ = pages = list(exporting._drawn(texts))
    assert len(pages) == exporting.PAGES and len(first.candidates) == exporting.SIZE
    assert first.query == texts[first.candidates[0].item_id]
    assert np.mean([page == first for page in pages]) < 1


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="nowhere is not there: name it with FOLDER"):
        main(["export", str(tmp_path / "nowhere")])
