"""A cross-encoder learns from soft labels and gold, survives a kill, and judges in passes of one shape."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    MPNetConfig,
    MPNetForSequenceClassification,
    Trainer,
)

from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement
from prectr.distill.teachers.cross_encoder import CrossEncoderTeacher, encode_jointly, finetune_cross_encoder
from prectr.shared.errors import PrectrError
from tests.distill.student.loud_encoder import loud_text_encoder

WORDS = ["milk", "soda", "red", "lamp", "cheap", "table"]
PAIRS = [("milk", "cheap milk"), ("red lamp", "lamp red table " * 8), ("soda", "milk"), ("table", "")]
ROWS = [("milk", "milk", 2), ("milk", "lamp", 0), ("lamp", "milk red", 2), ("red", "lamp table", 0)] * 8
QUERY, TEXT, LEVEL = (np.array(part, dtype=object) for part in zip(*ROWS, strict=True))
GOLD = Pairs(QUERY, TEXT, LEVEL.astype(np.int64))
SETTINGS: dict[str, Any] = {
    **{"epochs": 4, "learning_rate": 1e-2, "batch_size": 4, "bf16": False, "seed": 0, "max_length": 32}
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("encoder")
    loud_text_encoder(folder, WORDS)
    return str(folder)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, encoder: str) -> str:
    """Untrained, four outputs."""
    folder = str(tmp_path_factory.mktemp("classifier"))
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=4)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return folder


def level_prob(folder: str | Path) -> np.ndarray:
    return CrossEncoderTeacher(str(folder), max_length=32).score(list(zip(QUERY, TEXT, strict=True))).level_prob


def soft_labels(certain: float) -> tuple[Pairs, Judgement]:
    """The gold levels as a teacher would say them, with two pairs it could not judge."""
    prob = np.full((len(GOLD), 3), (1 - certain) / 2)
    prob[np.arange(len(GOLD)), GOLD.level] = certain
    log_odds = np.log(prob).astype(np.float32)
    log_odds[:2] = np.nan
    return Pairs(QUERY, TEXT, np.full(len(GOLD), -1)), Judgement(log_odds)


def test_an_encoder_without_a_head_learns_gold_levels_and_saves_an_ordinary_folder(
    encoder: str, tmp_path: Path
) -> None:
    finetune_cross_encoder(encoder, 3, GOLD, GOLD.take(np.arange(8)), work=tmp_path, **SETTINGS)
    assert level_prob(tmp_path)[np.arange(len(GOLD)), GOLD.level].mean() > 0.8
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path).config.num_labels == 3


def test_a_head_of_another_size_is_replaced(classifier: str, tmp_path: Path) -> None:
    finetune_cross_encoder(classifier, 3, GOLD, GOLD.take(np.arange(8)), work=tmp_path, **SETTINGS | {"epochs": 1})
    assert level_prob(tmp_path).shape == (len(GOLD), 3)


def test_soft_labels_are_learnt_as_they_are(encoder: str, tmp_path: Path) -> None:
    least = SETTINGS | {"epochs": 1e-6}
    finetune_cross_encoder(encoder, 3, GOLD, GOLD, soft=soft_labels(0.7), soft_epochs=4, work=tmp_path, **least)
    assert abs(level_prob(tmp_path)[np.arange(len(GOLD)), GOLD.level].mean() - 0.7) < 0.1


def test_a_bound_pulls_nothing_up_to_it(encoder: str, tmp_path: Path) -> None:
    log_odds = np.log(np.tile([[0.1, 0.1, 0.8]], (len(GOLD), 1))).astype(np.float32)
    censored = np.tile([[False, False, True]], (len(GOLD), 1))
    least = SETTINGS | {"epochs": 1e-6, "soft_epochs": 4}
    found = {}
    for name, judgement in {"label": Judgement(log_odds), "bound": Judgement(log_odds, None, censored)}.items():
        (tmp_path / name).mkdir()
        finetune_cross_encoder(encoder, 3, GOLD, GOLD, soft=(GOLD, judgement), work=tmp_path / name, **least)
        found[name] = level_prob(tmp_path / name)[:, 2].mean()
    assert found["label"] > 0.7 and found["bound"] < 0.5


def test_a_killed_run_ends_as_an_undisturbed_one(encoder: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    arguments = (encoder, 3, GOLD, GOLD.take(np.arange(8)))
    settings = SETTINGS | {"epochs": 2, "soft": soft_labels(0.7), "soft_epochs": 2}
    finetune_cross_encoder(*arguments, work=whole, **settings)
    save, saved = Trainer._save_checkpoint, []

    def save_and_die_now_and_then(trainer: Trainer, *rest: Any) -> None:
        save(trainer, *rest)
        saved.append(trainer.state.global_step)
        if saved in ([8], [8, 16, 8]):
            raise KeyboardInterrupt

    with patch.object(Trainer, "_save_checkpoint", save_and_die_now_and_then):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                finetune_cross_encoder(*arguments, work=killed, **settings)
        finetune_cross_encoder(*arguments, work=killed, **settings)
    assert saved == [8, 16, 8, 16]
    np.testing.assert_allclose(level_prob(killed), level_prob(whole), atol=1e-5)


def test_log_odds_are_the_whole_models_and_states_its_first_token(classifier: str) -> None:
    judgement = CrossEncoderTeacher(classifier, max_length=32, batch_size=4).score(PAIRS)
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    assert judgement.state is not None and judgement.state.shape == (4, 32)
    for row, pair in enumerate(PAIRS):
        with torch.no_grad():
            inputs = tokenizer([pair[0]], [pair[1]], truncation=True, max_length=32, return_tensors="pt")
            output = model(**inputs, output_hidden_states=True)
        np.testing.assert_allclose(judgement.log_odds[row], output.logits[0].log_softmax(-1).numpy(), atol=1e-5)
        np.testing.assert_allclose(judgement.state[row], output.hidden_states[-1][0, 0].numpy(), atol=1e-5)


def test_a_family_without_fused_attention_judges_too(encoder: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = MPNetConfig(vocab_size=len(tokenizer), max_position_embeddings=64, num_labels=3, **sizes)
    MPNetForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert CrossEncoderTeacher(str(tmp_path), max_length=32).score(PAIRS).log_odds.shape == (4, 3)


def test_every_pass_has_the_full_batch_and_a_multiple_of_eight(classifier: str) -> None:
    teacher = CrossEncoderTeacher(classifier, max_length=32, batch_size=4)
    with patch.object(teacher.model, "forward", wraps=teacher.model.forward) as forward:
        teacher.score(PAIRS * 3)
    shapes = {tuple(call.kwargs["input_ids"].shape) for call in forward.call_args_list}
    assert shapes == {(4, 8), (4, 32)} == {(4, teacher.padded_length(pair)) for pair in PAIRS}


def test_a_text_of_any_length_is_cut_and_the_query_kept(classifier: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    (row,) = encode_jointly(tokenizer, ["red milk"], ["table " * 20_000], 16)
    assert len(row["input_ids"]) == 16
    assert tokenizer.convert_ids_to_tokens(row["input_ids"])[:4] == ["[CLS]", "red", "milk", "[SEP]"]
    assert row["token_type_ids"] == [0] * 4 + [1] * 12


def test_no_pairs_no_judgement(classifier: str) -> None:
    assert CrossEncoderTeacher(classifier).score([]).log_odds.shape == (0, 4)


def test_more_tokens_than_the_model_has_positions(classifier: str) -> None:
    with pytest.raises(PrectrError, match="reads 128 tokens, not 129; set cross_encoder_length to 128 or less"):
        CrossEncoderTeacher(classifier, max_length=129)


def test_whatever_changes_a_judgement_changes_the_fingerprint(classifier: str) -> None:
    changes: list[dict[str, Any]] = [{}, {"identity": "b"}, {"max_length": 16}, {"bf16": True}]
    found = {CrossEncoderTeacher(classifier, **{"identity": "a", **change}).fingerprint for change in changes}
    assert len(found) == 4
    assert CrossEncoderTeacher(classifier, identity="a", batch_size=8).fingerprint in found


def test_the_order_within_a_query_is_learnt_beside_the_levels(encoder: str, tmp_path: Path) -> None:
    losses = []

    def noted(logits: torch.Tensor, levels: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        losses.append((len(levels), len(query.unique())))
        return logits.sum() * 0

    with patch("prectr.distill.teachers.cross_encoder.within_query_loss", noted):
        least = SETTINGS | {"epochs": 1}
        finetune_cross_encoder(encoder, 3, GOLD, GOLD, work=tmp_path / "with", order_weight=0.5, **least)
        assert len(losses) == 8 and all(size == 4 for size, _ in losses)
        assert np.mean([queries for _, queries in losses]) < 2, "rows of a query are batched together"
        losses.clear()
        finetune_cross_encoder(encoder, 3, GOLD, GOLD, work=tmp_path / "without", **least)
    assert losses == []
