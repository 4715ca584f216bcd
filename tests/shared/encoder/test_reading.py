"""Padding and lengths: alike for every family, whatever its tokenizer does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    CamembertConfig,
    GPT2Config,
    GPT2Model,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
    RobertaConfig,
    RobertaModel,
    T5Config,
    XLMRobertaConfig,
)

from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import EncoderConfig
from prectr.shared.encoder.reading import check_length, pad_right, tokens_read
from prectr.shared.errors import PrectrError

SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def byte_tokenizer(**special: Any) -> PreTrainedTokenizerFast:
    """A token per byte; special tokens stand first."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.BPE({token: at for at, token in enumerate([*names, *alphabet])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


ENCODERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "gpt2, no padding token": (
        GPT2Model(GPT2Config(vocab_size=260, n_embd=32, n_layer=2, n_head=2, n_positions=64)),
        {"eos_token": "</s>"},
    ),
    "gpt2, left": (
        GPT2Model(GPT2Config(vocab_size=260, n_embd=32, n_layer=2, n_head=2, n_positions=64)),
        {"eos_token": "</s>", "padding_side": "left"},
    ),
    "qwen, left": (
        Qwen2Model(Qwen2Config(vocab_size=260, intermediate_size=64, num_key_value_heads=2, **SIZES)),
        {"pad_token": "<pad>", "padding_side": "left"},
    ),
    "roberta": (
        RobertaModel(RobertaConfig(vocab_size=260, intermediate_size=64, max_position_embeddings=34, **SIZES)),
        {"pad_token": "<pad>", "cls_token": "<s>"},
    ),
    "bert, left and cut left": (
        BertModel(BertConfig(vocab_size=260, intermediate_size=64, max_position_embeddings=32, **SIZES)),
        {"pad_token": "<pad>", "padding_side": "left", "truncation_side": "left"},
    ),
    "bert, unknown token alone": (
        BertModel(BertConfig(vocab_size=260, intermediate_size=64, max_position_embeddings=32, **SIZES)),
        {"unk_token": "<unk>"},
    ),
}


@pytest.fixture(params=ENCODERS)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    model, special = ENCODERS[request.param]
    model.save_pretrained(tmp_path)
    byte_tokenizer(**special).save_pretrained(tmp_path)
    return tmp_path


def test_token_vectors_are_those_of_each_text_alone(start: Path) -> None:
    encoder = LevelEncoder.warm_start(start, EncoderConfig(["a", "b"]), 2).eval()
    texts = ["red", "a longer text of lamps", "x", "cut " * 20]
    tokens = encoder.tokenize(texts, "item")
    with torch.inference_mode():
        found = encoder.encode_by_length(*(torch.from_numpy(part) for part in tokens.values()))
        plain, tokenizer = AutoModel.from_pretrained(start).eval(), byte_tokenizer()
        for row, text in enumerate(texts):
            ids = tokenizer(text)["input_ids"][:32]
            wanted = encoder.projection(plain(torch.tensor([ids])).last_hidden_state[0])
            wanted = torch.nn.functional.normalize(wanted, dim=-1)
            np.testing.assert_allclose(found.contextual[row, : len(ids)], wanted, atol=1e-4)
    assert np.isfinite(encoder.score_pairs(["red", ""], ["red lamp", "x"])).all()


@pytest.mark.parametrize(
    ("config", "most"),
    [
        (RobertaConfig(max_position_embeddings=514), 512),
        (XLMRobertaConfig(max_position_embeddings=514), 512),
        (CamembertConfig(max_position_embeddings=514), 512),
        (MPNetConfig(max_position_embeddings=514), 512),
        (RobertaConfig(max_position_embeddings=130, pad_token_id=0), 129),
        (BertConfig(max_position_embeddings=512), 512),
        (GPT2Config(n_positions=1024), 1024),
        (Qwen2Config(max_position_embeddings=256), 256),
        (T5Config(), None),
    ],
)
def test_what_a_model_reads_is_told_by_its_config(config: PretrainedConfig, most: int | None) -> None:
    assert tokens_read(config) == most
    if most is not None:
        check_length("x", config, most, "item_length")
        with pytest.raises(PrectrError, match=f"x: reads {most} tokens, not {most + 1}; set item_length to {most}"):
            check_length("x", config, most + 1, "item_length")


def test_an_encoder_that_reads_less_is_refused_before_its_weights_are_read(start: Path) -> None:
    (start / "model.safetensors").unlink()
    with pytest.raises(PrectrError, match="reads"):
        LevelEncoder.warm_start(start, EncoderConfig(["a", "b"], item_length=10**5), 2)


def test_a_tokenizer_without_special_tokens_is_refused() -> None:
    with pytest.raises(PrectrError, match="no padding token"):
        pad_right(byte_tokenizer())


def test_padding_is_no_token_that_texts_end_in() -> None:
    tokenizer = byte_tokenizer(eos_token="</s>", unk_token="<unk>")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]
    )
    assert pad_right(tokenizer).pad_token == "<unk>"
