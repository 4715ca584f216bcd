"""What is kept of texts is what the encoder makes of them, whatever was added and taken back in between."""

from copy import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from prectr.rank.inputs.texts import token_tensors
from prectr.rank.serving.texts import kept_texts as kept
from prectr.rank.serving.texts.kept_texts import KeptTexts, kept_texts
from prectr.rank.serving.texts.text_block import TextBlock, encoded
from prectr.rank.serving.texts.text_store import TextStore
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors
from tests.shared.encoder.tiny_encoder import tiny_encoder

TEXTS = ["red", "a red shoe", "blue shoe a b c d e f small large", "soda", "2 liter soda"]
QUERIES = ["soda", "red shoe"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    tiny_encoder(folder.parent / "vocabulary", ["no", "yes"]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(folder: Path) -> LevelEncoder:
    return LevelEncoder.from_pretrained(folder)


def test_texts_are_compared_as_the_encoder_compares_them(encoder: LevelEncoder) -> None:
    store = TextStore(encoder)
    store.add(TEXTS[:3])
    store.add(TEXTS[3:])
    places = [4, 2, 0, 2]
    with torch.inference_mode():
        items = encoder.encode_by_length(*token_tensors(encoder.tokenize(TEXTS, "item")))
        query = encoder.encode(*token_tensors(encoder.tokenize(QUERIES[1:], "query")))
        expected = encoder.state(query.take(torch.zeros(4).long()), items.take(torch.tensor(places)))
    torch.testing.assert_close(store.states(QUERIES[1], np.array(places)), expected, rtol=0, atol=1e-5)
    assert expected.std(0).max() > 1e-3


def test_another_reader_reads_queries_alone(encoder: LevelEncoder) -> None:
    asked = list[int]()

    def counted(ids: torch.Tensor, mask: torch.Tensor) -> TokenVectors:
        asked.append(len(ids))
        return encoder.encode(ids, mask)

    reader = copy(encoder)
    reader.encode = counted  # type: ignore[method-assign]
    store = TextStore(encoder, None, reader)
    store.add(TEXTS)
    assert asked == [] and store.encoder is reader
    store.query("red shoe")
    store.query("red shoe")
    assert asked == [1]


def test_a_text_of_no_word_is_compared_with_nothing(encoder: LevelEncoder) -> None:
    store = TextStore(encoder)
    store.add([""])
    nothing = store.states("", np.array([0, 0]))
    assert torch.isfinite(nothing).all() and nothing[0].equal(nothing[1])
    store.add(TEXTS)
    found = store.states("red", np.array([0, 1]))
    assert torch.isfinite(found).all() and not found[0].equal(found[1])
    assert store.states("red", np.array([], np.int64)).shape == (0, encoder.state_size)


def test_texts_that_are_taken_back_make_room_for_others(encoder: LevelEncoder) -> None:
    store = TextStore(encoder)
    first = store.add(TEXTS[:2])
    store.add(TEXTS[2:3])
    store.add(TEXTS[3:4])
    store.add(TEXTS[4:])
    store.keep(3)
    assert len(store) == 3
    again = store.add(["cheap hat"])
    torch.testing.assert_close(store.pooled()[[0, 1, 3]], torch.cat([first, again]))
    fresh = TextStore(encoder)
    fresh.add([TEXTS[0], "cheap hat"])
    torch.testing.assert_close(store.states("red", np.array([0, 3])), fresh.states("red", np.array([0, 1])))
    store.keep(2)
    assert len(store) == 2 and len(store.states("red", np.array([1]))) == 1


def opened(folder: Path, encoder: LevelEncoder, work: Path, texts: list[str], queries: list[str]) -> KeptTexts:
    return kept_texts(work / "token_vectors", folder, encoder, texts, queries)


def test_what_is_kept_on_disk_is_what_is_made(folder: Path, encoder: LevelEncoder, tmp_path: Path) -> None:
    ours = TextStore(encoder, opened(folder, encoder, tmp_path, TEXTS, QUERIES))
    fresh = TextStore(encoder)
    fresh.add(TEXTS)
    ours.add(["cheap hat"])
    fresh.add(["cheap hat"])
    assert len(ours) == len(TEXTS) + 1
    for query in (*QUERIES, "large lamp"):
        found, theirs = (store.states(query, np.array([5, 0, 3])) for store in (ours, fresh))
        torch.testing.assert_close(found, theirs, rtol=0, atol=1e-6)


def test_it_is_made_once_and_grows_by_what_is_new(
    folder: Path, encoder: LevelEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def watched(encoder: LevelEncoder, texts: list[str], *rest: object):  # noqa: ANN202
        asked.extend(texts)
        return encoded(encoder, texts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(kept, "encoded", watched)
    opened(folder, encoder, tmp_path, TEXTS[:3], QUERIES)
    assert asked == [*TEXTS[:3], *QUERIES]
    asked.clear()
    opened(folder, encoder, tmp_path, TEXTS[:3], QUERIES)
    assert asked == []
    grown = [TEXTS[4], *TEXTS[1:3], TEXTS[3]]
    found = opened(folder, encoder, tmp_path, grown, QUERIES).items
    assert asked == [TEXTS[4], TEXTS[3]]
    expected = TextBlock.joined(list(encoded(encoder, grown, "item")))
    for name, ours, theirs in zip(TextBlock._fields, found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6, msg=name)
    other = tiny_encoder(tmp_path / "vocabulary", ["no", "yes"], seed=5)
    other.save_pretrained(tmp_path / "other")
    asked.clear()
    opened(tmp_path / "other", other, tmp_path, grown, QUERIES)
    assert asked == [*grown, *QUERIES], "vectors of another encoder were taken over"


def test_where_nothing_can_be_written_texts_are_encoded_all_the_same(
    folder: Path, encoder: LevelEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kept, "run_step", refuse)
    found = opened(folder, encoder, tmp_path, TEXTS, QUERIES)
    assert found.items.size == len(TEXTS) and found.queries.size == len(QUERIES)
    assert "cannot be written (Permission denied)" in capsys.readouterr().out
    assert not (tmp_path / "token_vectors").exists()
