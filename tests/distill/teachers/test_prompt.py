"""Prompts: what they contain, what changes their fingerprint, what is refused."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from prectr.distill.models.random_models import word_tokenizer
from prectr.distill.teachers.prompt import Prompt, PromptEncoder, pad, padded_length, read_prompt
from prectr.shared.errors import PrectrError

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


def test_what_level_words_begin_with_ends_the_prompt(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = PromptEncoder(Prompt("a ", " b ", " match", ("red lamp", "red table")), tokenizer, 8, 8)
    assert tokenizer.convert_ids_to_tokens(encoder.after) == ["match", "red"]
    assert tokenizer.convert_ids_to_tokens(encoder.level_ids) == ["lamp", "table"]


@pytest.mark.parametrize("words", [("red", "Red"), ("red", "purple"), ("无", "关"), ("lamp", " lamp"), ("red", "")])
def test_words_the_vocabulary_cannot_tell_apart_or_write_are_refused(
    tokenizer: PreTrainedTokenizerFast, words: tuple[str, ...]
) -> None:
    with pytest.raises(PrectrError, match="same tokens|cannot write") as raised:
        PromptEncoder(Prompt("a ", " b ", " c", words), tokenizer, 8, 8)
    assert "\n" not in str(raised.value)


EXAMPLES = """levels: no | yes
# why these
example: milk | cheap milk | yes

example: red lamp | table | 2 | no
---
Q: {query} I: {item} A:
"""


def test_examples_stand_in_front_as_answered_prompts(tmp_path: Path) -> None:
    prompt = read_prompt(write(tmp_path / "p.txt", EXAMPLES), 2)
    assert prompt.before == "Q: milk I: cheap milk A: yes\n\nQ: red lamp I: table | 2 A: no\n\nQ: "
    assert (prompt.between, prompt.after, prompt.words) == (" I: ", " A:", ("no", "yes"))


def test_the_shipped_examples_read_and_lead_to_the_same_question() -> None:
    prompt = read_prompt("shopping_examples", 4)
    assert prompt.before.endswith("Match: none\n\nSearch: ") and prompt.before.count("Match:") == 4
    assert (prompt.between, prompt.after, prompt.words) == (PROMPT.between, PROMPT.after, PROMPT.words)


def test_examples_are_in_the_fingerprint_and_their_absence_is_as_before(tmp_path: Path) -> None:
    asked = [read_prompt(write(tmp_path / "p.txt", EXAMPLES.replace("cheap", word)), 2) for word in ("cheap", "red")]
    assert asked[0].fingerprint != asked[1].fingerprint
    # Labels of earlier runs are found by this.
    assert PROMPT.fingerprint.startswith("38ce53900d653697")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("example: milk | cheap milk | maybe", "p.txt, line 3: 'maybe' is no level word; write one of no, yes"),
        ("example: milk | yes", "line 3: an example is"),
        ("example: milk | | yes", "line 3: an example is"),
        ("examples: milk | cheap milk | yes", "a prompt file is"),
    ],
)
def test_a_malformed_example_is_refused_with_its_line(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(PrectrError, match=complaint) as raised:
        read_prompt(write(tmp_path / "p.txt", f"# two levels\nlevels: no | yes\n{line}\n---\n{{query}} {{item}}"), 2)
    assert "\n" not in str(raised.value)


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
