"""An encoder from nothing: its word pieces are learnt from the texts, whatever their script."""

from pathlib import Path

import pytest
from transformers import AutoModel, AutoTokenizer

from prectr.distill.models.scratch import scratch_encoder, word_pieces

TEXTS = [
    "красный шарф из шерсти", "синий шарф", "красная шапка", "红色羊毛围巾", "蓝色帽子", "ผ้าพันคอสีแดง", "หมวกสีน้ำเงิน",
    "red wool scarf", "blue hat", "लाल दुपट्टा", "وشاح أحمر",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_every_script_can_be_spelt(text: str) -> None:
    tokenizer = word_pieces(TEXTS, 400)
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.unk_token_id not in ids and len(tokenizer) <= 400
    assert ids[0] == tokenizer.cls_token_id and ids[-1] == tokenizer.sep_token_id


def test_what_the_texts_never_show_is_unknown() -> None:
    tokenizer = word_pieces(TEXTS, 400)
    assert tokenizer.unk_token_id in tokenizer("ελληνικά")["input_ids"]


def test_vowel_signs_and_accents_tell_words_apart() -> None:
    tokenizer = word_pieces(["दाल", "दिल", "resume", "resumé"], 100)
    assert tokenizer("दाल")["input_ids"] != tokenizer("दिल")["input_ids"]
    assert tokenizer("resume")["input_ids"] != tokenizer("resumé")["input_ids"]


def test_the_same_texts_and_seed_make_the_same_encoder(tmp_path: Path) -> None:
    for name in ("first", "second"):
        scratch_encoder(tmp_path / name, TEXTS, num_layers=2, vocabulary_size=300, longest=200, seed=3)
    first, second = (AutoModel.from_pretrained(tmp_path / name) for name in ("first", "second"))
    assert all((a == b).all() for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert first.config.num_hidden_layers == 2 and first.config.max_position_embeddings == 200
    vocabularies = [AutoTokenizer.from_pretrained(tmp_path / name).get_vocab() for name in ("first", "second")]
    assert vocabularies[0] == vocabularies[1]
