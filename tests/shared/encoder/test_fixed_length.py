"""Texts are cut and padded as transformers does it, and no thread's call changes another's."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase

from prectr.shared.encoder.fixed_length import FixedLength
from prectr.shared.encoder.level_encoder import LevelEncoder
from tests.shared.encoder.tiny_encoder import WORDS, tiny_encoder

TEXTS = ["red shirt", "", "milk bread " * 30, "unheard of 2 liter", " ", "🥛 blue [SEP] lamp"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> LevelEncoder:
    """Queries of 8 tokens, items of 16: with equal lengths no call could harm another."""
    return tiny_encoder(tmp_path_factory.mktemp("vocabulary"))


@pytest.mark.parametrize("length", [3, 8, 16, 40])
def test_as_transformers_does_it(encoder: LevelEncoder, length: int) -> None:
    found = FixedLength(encoder.tokenizer, length)(TEXTS)
    expected = encoder.tokenizer(TEXTS, padding="max_length", truncation=True, max_length=length, return_tensors="np")
    for name, tokens in found.items():
        np.testing.assert_array_equal(tokens, expected[name])
        assert tokens.shape == (len(TEXTS), length)


def test_padding_stands_behind_whatever_the_tokenizer_says(encoder: LevelEncoder, tmp_path: Path) -> None:
    encoder.tokenizer.save_pretrained(tmp_path)
    left = AutoTokenizer.from_pretrained(tmp_path, padding_side="left")
    for name, tokens in FixedLength(left, 8)(TEXTS).items():
        np.testing.assert_array_equal(tokens, encoder.tokenize(TEXTS, "query")[name])


def test_without_a_padding_token(tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[UNK]", "[CLS]", "[SEP]", *WORDS]))
    tokenizer = BertTokenizer(str(vocabulary), pad_token=None, mask_token=None)
    assert tokenizer.pad_token_id is None
    found = FixedLength(tokenizer, 6)(["red shirt"])
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0]]
    assert found["input_ids"][0, 4:].tolist() == [0, 0]


def test_no_texts(encoder: LevelEncoder) -> None:
    assert {name: part.shape for name, part in encoder.tokenize([], "item").items()} == {
        "input_ids": (0, 16),
        "attention_mask": (0, 16),
    }


def test_the_given_tokenizer_stays_as_it_is(encoder: LevelEncoder) -> None:
    def state(tokenizer: PreTrainedTokenizerBase) -> str:
        return str(tokenizer.backend_tokenizer.to_str())

    before = state(encoder.tokenizer)
    encoder.score_pairs(["red", "milk " * 50], ["blue lamp", "shoe " * 50])
    assert state(encoder.tokenizer) == before


def test_sixteen_threads_score_as_one_does(encoder: LevelEncoder) -> None:
    words = np.random.default_rng(0)
    pages = [
        ([" ".join(words.choice(WORDS, n)) for n in (1, 3, 12)], [" ".join(words.choice(WORDS, n)) for n in (2, 9, 30)])
        for _ in range(64)
    ]
    alone = [encoder.score_pairs(*page) for page in pages]
    with ThreadPoolExecutor(16) as threads:
        together = list(threads.map(lambda page: encoder.score_pairs(*page), pages * 3))
    for number, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[number % len(pages)])
