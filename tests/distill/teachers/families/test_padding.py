"""A cross-encoder of any family says of a pair in a batch what it says of it alone, its state too."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from prectr.distill.teachers.cross_encoder import CrossEncoderTeacher
from prectr.shared.errors import PrectrError
from tests.shared.encoder.test_reading import byte_tokenizer

SIZES: dict[str, Any] = {
    **{"vocab_size": 260, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"intermediate_size": 64, "num_labels": 3, "max_position_embeddings": 64},
}
GPT2 = GPT2Config(vocab_size=260, n_embd=32, n_layer=2, n_head=2, n_positions=64, num_labels=3)
FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "qwen, left": (
        Qwen2ForSequenceClassification(Qwen2Config(**SIZES, num_key_value_heads=2)),
        {"pad_token": "<pad>", "padding_side": "left"},
    ),
    "llama, no padding token": (LlamaForSequenceClassification(LlamaConfig(**SIZES)), {"eos_token": "</s>"}),
    "gpt2, left, no padding token": (
        GPT2ForSequenceClassification(GPT2),
        {"eos_token": "</s>", "unk_token": "<unk>", "padding_side": "left"},
    ),
    "bert, left": (
        BertForSequenceClassification(BertConfig(**SIZES)),
        {"pad_token": "<pad>", "padding_side": "left", "cls_token": "<s>"},
    ),
    "roberta": (RobertaForSequenceClassification(RobertaConfig(**SIZES)), {"pad_token": "<pad>"}),
    "gpt2, right": (GPT2ForSequenceClassification(GPT2), {"pad_token": "<pad>"}),
}
PAIRS = [("red shoe", "red leather shoe"), ("blue lamp", "table"), ("a", "b"), ("x", ""), ("lamp", "lamp 12345")]


@pytest.mark.parametrize("family", FAMILIES)
def test_levels_and_states_are_those_of_each_pair_alone(tmp_path: Path, family: str) -> None:
    model, special = FAMILIES[family]
    model.save_pretrained(tmp_path)
    byte_tokenizer(**special).save_pretrained(tmp_path)
    said = CrossEncoderTeacher(str(tmp_path), max_length=48, batch_size=4).score(PAIRS)
    plain, tokenizer = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval(), byte_tokenizer()
    reads_on = "Bert" in type(model).__name__ or "Roberta" in type(model).__name__
    for row, pair in enumerate(PAIRS):
        with torch.inference_mode():
            ids = torch.tensor([tokenizer(*pair)["input_ids"]])
            out = plain(input_ids=ids, output_hidden_states=True)
        np.testing.assert_allclose(said.log_odds[row], out.logits[0].log_softmax(-1), atol=1e-4)
        if not reads_on:
            np.testing.assert_allclose(said.state[row], out.hidden_states[-1][0, -1], atol=1e-4)


def test_a_roberta_reads_two_tokens_less_than_it_has_positions(tmp_path: Path) -> None:
    model, special = FAMILIES["roberta"]
    model.save_pretrained(tmp_path)
    byte_tokenizer(**special).save_pretrained(tmp_path)
    long = [("red " * 30, "lamp " * 30)]
    assert np.isfinite(CrossEncoderTeacher(str(tmp_path), max_length=62).score(long).log_odds).all()
    with pytest.raises(PrectrError, match="reads 62 tokens, not 63; set cross_encoder_length to 62"):
        CrossEncoderTeacher(str(tmp_path), max_length=63)
