"""Prompts: what they contain, what changes their fingerprint, what is refused."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from distill.prompt import Prompt, PromptEncoder, pad, padded_length, read_prompt
from distill.random_models import word_tokenizer
from shared.config import PrectrError

PROMPT = Prompt("Search: ", "\nProduct: ", "\nMatch:", ("none", "weak", "close", "exact"))
WORDS = "search product match none weak close exact : milk soda red lamp cheap table"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer([WORDS]), bos_token="<bos>", pad_token="[PAD]", unk_token="[UNK]"
    )


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_shipped_prompt_reads() -> None:
    assert read_prompt("shopping", 4) == PROMPT


def test_a_prompt_holds_both_texts_and_ends_with_the_question(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = PromptEncoder(PROMPT, tokenizer, 8, 8)("milk", "cheap milk")
    assert tokenizer.convert_ids_to_tokens(ids) == tokenizer.tokenize("<bos> search: milk product: cheap milk match:")


def test_long_texts_are_cut_and_the_question_is_not(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = PromptEncoder(PROMPT, tokenizer, 2, 3)("milk " * 50, "soda " * 50)
    assert tokenizer.convert_ids_to_tokens(ids) == tokenizer.tokenize(
        "<bos> search: milk milk product: soda soda soda match:"
    )


def test_level_words_are_single_tokens_in_order(tokenizer: PreTrainedTokenizerFast) -> None:
    level_ids = PromptEncoder(PROMPT, tokenizer, 8, 8).level_ids
    assert tokenizer.convert_ids_to_tokens(level_ids) == ["none", "weak", "close", "exact"]


def test_level_words_that_begin_alike_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    alike = Prompt("a ", " b ", " c", ("red lamp", "red table"))
    with pytest.raises(PrectrError, match="same token"):
        PromptEncoder(alike, tokenizer, 8, 8)


@pytest.mark.parametrize("change", ["before", "between", "after", "words"])
def test_every_part_is_in_the_fingerprint(change: str) -> None:
    parts = {"before": "S ", "between": "\nP ", "after": "\nM:", "words": ("none", "weak", "close", "perfect")}
    changed = Prompt(**{**PROMPT.__dict__, change: parts[change]})
    assert changed.fingerprint != PROMPT.fingerprint


def test_a_comment_is_not_in_the_fingerprint(tmp_path: Path) -> None:
    body = "levels: no | yes\n---\n{query} {item}?\n"
    plain, commented = write(tmp_path / "a.txt", body), write(tmp_path / "b.txt", f"# why\n{body}")
    assert read_prompt(plain, 2).fingerprint == read_prompt(commented, 2).fingerprint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("levels: no | yes\n---\n{item} then {query}", "placeholder|needs"),
        ("levels: no | yes\n---\n{query} alone", "needs"),
        ("levels: no | maybe | yes\n---\n{query} {item}", "3 level words, but the data has 2"),
        ("{query} {item}", "a line `---`"),
    ],
)
def test_a_malformed_prompt_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(PrectrError, match=complaint):
        read_prompt(write(tmp_path / "p.txt", text), 2)


def test_an_unknown_prompt_is_refused() -> None:
    with pytest.raises(PrectrError, match="no such prompt; name one of .*shopping"):
        read_prompt("shoping", 4)


def test_padding_goes_right_and_the_last_position_is_the_prompts() -> None:
    ids, last = pad([[5, 6, 7], [8]], 4, filler=0)
    assert ids.tolist() == [[5, 6, 7, 0], [8, 0, 0, 0]] and last.tolist() == [2, 0]


def test_padded_lengths_are_multiples_of_eight() -> None:
    assert [padded_length(n) for n in (1, 8, 9, 48)] == [8, 8, 16, 48]
