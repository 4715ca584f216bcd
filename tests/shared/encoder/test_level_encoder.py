"""The published folder opens in three libraries with equal numbers; scoring saves work and changes no value."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from transformers import AutoModel, AutoTokenizer

from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from tests.shared.encoder.tiny_encoder import tiny_encoder

QUERIES = ["red shirt", "milk", "red shirt", "2 liter soda"]
ITEMS = ["blue shirt large", "milk", "cheap lamp", "soda 2 liter"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> LevelEncoder:
    encoder = tiny_encoder(tmp_path_factory.mktemp("vocabulary"))
    encoder.fit_idf(ITEMS)
    return encoder


@pytest.fixture(scope="module")
def published(encoder: LevelEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    encoder.save_pretrained(folder)
    return folder


def contextual(encoder: LevelEncoder, text: str, kind: str) -> torch.Tensor:
    tokens = encoder.tokenize([text], kind)  # type: ignore[arg-type]
    with torch.no_grad():
        vectors = encoder.encode(*(torch.from_numpy(part) for part in tokens.values()))
    return vectors.contextual[0][vectors.mask[0]]


def test_what_is_saved_scores_the_same_when_loaded(encoder: LevelEncoder, published: Path) -> None:
    again = LevelEncoder.from_pretrained(published)
    np.testing.assert_allclose(again.score_pairs(QUERIES, ITEMS), encoder.score_pairs(QUERIES, ITEMS), atol=1e-6)
    assert again.config == encoder.config


def test_attention_is_eager_here_and_any_other_gives_the_same_loss_and_gradient(published: Path) -> None:
    encoder = LevelEncoder.from_pretrained(published)
    tokens = encoder.tokenize(ITEMS, "item")
    assert encoder.text_encoder.config._attn_implementation == "eager"
    assert "attn_implementation" not in (published / "config.json").read_text()
    found = {}
    for attention in ("eager", "sdpa"):
        encoder.text_encoder.set_attn_implementation(attention)
        vectors = encoder.encode(*(torch.from_numpy(part) for part in tokens.values()))
        loss = encoder.state(vectors, vectors.take(torch.tensor([1, 2, 3, 0]))).square().sum()
        weights = [weight for weight in encoder.text_encoder.parameters() if weight.requires_grad]
        found[attention] = [loss, *torch.autograd.grad(loss, weights, allow_unused=True)]
    assert sum(gradient is not None for gradient in found["eager"]) > 10
    for one, other in zip(found["eager"], found["sdpa"], strict=True):
        torch.testing.assert_close(one, other)


def test_auto_model_opens_the_text_encoder(encoder: LevelEncoder, published: Path) -> None:
    model, tokenizer = AutoModel.from_pretrained(published).eval(), AutoTokenizer.from_pretrained(published)
    tokens = tokenizer(ITEMS, padding=True, return_tensors="pt")
    with torch.no_grad():
        ours = encoder.text_encoder(**tokens).last_hidden_state
        torch.testing.assert_close(model(**tokens).last_hidden_state, ours)
    assert model.config.id2label == dict(enumerate(encoder.config.level_names))


def test_multi_vector_encoder_gives_maxsim_of_the_same_vectors(encoder: LevelEncoder, published: Path) -> None:
    model = MultiVectorEncoder(str(published), device="cpu")
    found = model.similarity(model.encode_query(QUERIES), model.encode_document(ITEMS))
    for row, query in enumerate(QUERIES):
        for column, item in enumerate(ITEMS):
            similarity = contextual(encoder, query, "query") @ contextual(encoder, item, "item").T
            assert found[row, column].item() == pytest.approx(similarity.amax(1).sum().item(), abs=1e-5)


def test_no_file_of_the_folder_can_carry_code(published: Path) -> None:
    kinds = {file.suffix for file in published.rglob("*") if file.is_file()}
    assert kinds <= {".json", ".safetensors", ".txt", ".jinja"}


def test_scores_are_probabilities_in_the_order_given(encoder: LevelEncoder) -> None:
    level_prob = encoder.score_pairs(QUERIES, ITEMS)
    assert level_prob.shape == (4, 4) and level_prob.dtype == np.float32
    np.testing.assert_allclose(level_prob.sum(1), 1, atol=1e-6)
    order = [2, 0, 3, 1, 0]
    shuffled = encoder.score_pairs([QUERIES[i] for i in order], [ITEMS[i] for i in order])
    np.testing.assert_allclose(shuffled, level_prob[order], atol=1e-6)


def test_block_and_batch_sizes_change_no_value(encoder: LevelEncoder) -> None:
    queries = [query for query in QUERIES for _ in ITEMS]
    items = ITEMS * len(QUERIES)
    at_once = encoder.score_pairs(queries, items)
    with patch("prectr.shared.encoder.level_encoder.PAIRS_PER_BLOCK", 3):
        np.testing.assert_allclose(encoder.score_pairs(queries, items, batch_size=2), at_once, atol=1e-6)


def test_equal_texts_are_encoded_once_and_equal_pairs_scored_once(encoder: LevelEncoder) -> None:
    with (
        patch.object(encoder, "tokenize", wraps=encoder.tokenize) as tokenize,
        patch.object(encoder.head, "features", wraps=encoder.head.features) as features,
    ):
        encoder.score_pairs(["milk"] * 50 + ["soda"] * 50, ["milk"] * 100)
    assert sorted(len(call.args[0]) for call in tokenize.call_args_list) == [1, 2]
    assert [len(call.args[0].mask) for call in features.call_args_list] == [2]


def test_no_pairs_give_no_scores(encoder: LevelEncoder) -> None:
    assert encoder.score_pairs([], []).shape == (0, 4)


def test_texts_of_any_kind_have_finite_scores(encoder: LevelEncoder) -> None:
    odd = ["", " ", "🥛🥛", "حليب", "牛奶", "x" * 100_000]
    assert np.isfinite(encoder.score_pairs(odd, odd[::-1])).all()


def test_unequal_numbers_of_queries_and_items_are_refused(encoder: LevelEncoder) -> None:
    with pytest.raises(PrectrError, match="2 queries and 1 items"):
        encoder.score_pairs(["a", "b"], ["a"])


def test_a_folder_without_a_level_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="no published encoder"):
        LevelEncoder.from_pretrained(tmp_path)


def test_idf_by_hand(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path)
    encoder.fit_idf(["red red shirt", "red hat"])
    idf = dict(zip(encoder.tokenizer.convert_ids_to_tokens(range(len(encoder.idf))), encoder.idf.tolist(), strict=True))
    assert idf["red"] == pytest.approx(np.log(3 / 3) + 1)
    assert idf["hat"] == pytest.approx(np.log(3 / 2) + 1)
    assert idf["milk"] == pytest.approx(np.log(3 / 1) + 1)
    assert idf["[CLS]"] == idf["[SEP]"] == idf["[PAD]"] == 0
