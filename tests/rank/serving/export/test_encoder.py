"""What is written of an encoder computes what the encoder computes, of any number of texts and pairs."""

from pathlib import Path

import pytest
import torch

from prectr.rank.inputs.texts import token_tensors
from prectr.rank.model.trained import TrainedRanker
from prectr.rank.serving.export.encoder import pair_states, read_by_graph
from prectr.rank.serving.export.exported import files_of, folder_of
from prectr.rank.serving.export.graph import Graph
from prectr.rank.serving.texts.kept_texts import LEARNT
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors
from prectr.shared.errors import PrectrError

TEXTS = ["red", "a red shoe", "blue shoe a b c d e f small large", "", "2 liter soda"]
CLOSE = 1e-5


@pytest.fixture(scope="module")
def encoder(home: Path) -> LevelEncoder:
    return TrainedRanker.from_pretrained(home / "ranker").model.encoder


@pytest.fixture(scope="module")
def reader(home: Path, encoder: LevelEncoder) -> LevelEncoder:
    """The encoder by what `write_encoder` wrote of it."""
    return read_by_graph(encoder, Graph(folder_of(home / "ranker") / files_of(LEARNT)[0]))


def same(ours: TokenVectors, theirs: TokenVectors) -> None:
    for name, found, expected in zip(TokenVectors._fields, ours, theirs, strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=0, atol=CLOSE, msg=name)


@torch.inference_mode()
def test_texts_of_any_number_and_length(encoder: LevelEncoder, reader: LevelEncoder) -> None:
    ids, mask = token_tensors(encoder.tokenize(TEXTS, "item"))
    same(reader.encode_by_length(ids, mask), encoder.encode_by_length(ids, mask))
    for row in range(len(TEXTS)):
        length = int(mask[row].sum())
        alone = ids[row : row + 1, :length], mask[row : row + 1, :length]
        same(reader.encode(*alone), encoder.encode(*alone))


@torch.inference_mode()
@pytest.mark.parametrize("pairs", [1, 2, 5])
def test_pairs_of_any_number(encoder: LevelEncoder, home: Path, pairs: int) -> None:
    item = encoder.encode(*token_tensors(encoder.tokenize(TEXTS[:pairs], "item")))
    query = encoder.encode(*token_tensors(encoder.tokenize(TEXTS[-pairs:], "query")))
    found = pair_states(Graph(folder_of(home / "ranker") / files_of(LEARNT)[1]), query, item)
    expected = encoder.state(query, item)
    torch.testing.assert_close(found, expected, rtol=0, atol=CLOSE)
    assert expected.std() > 100 * CLOSE


def test_the_encoder_itself_goes_on_with_torch(encoder: LevelEncoder, reader: LevelEncoder) -> None:
    assert "encode" not in vars(encoder) and "encode" in vars(reader)
    assert reader.text_encoder is encoder.text_encoder


def test_a_damaged_graph_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(PrectrError, match="broken.onnx is missing or damaged: run `python -m rank export` again"):
        Graph(tmp_path / "broken.onnx")
    with pytest.raises(PrectrError, match="gone.onnx is missing"):
        Graph(tmp_path / "gone.onnx")
