"""Levels by whole words: of any number of tokens, in any script, with the vocabularies of the large families."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.level_words import LevelWords
from prectr.distill.teachers.prompt import Prompt, PromptEncoder
from prectr.shared.errors import PrectrError
from tests.distill.teachers.families.tiny_models import FAMILIES, family_model, family_tokenizer

PAIRS = [("red shoe", "red leather shoe"), ("blue lamp", "table lamp big"), ("red shoe", "bolt"), ("0", "")]
WORDS = {
    "digits": ("0", "1", "2", "3"),
    "words": ("none", "weak", "close", "exact"),
    "one goes on": ("no", "match", "exact", "exact match"),
    "chinese": ("无关", "弱相关", "相关", "完全匹配"),
    "cyrillic": ("нет", "слабо", "точно"),
    "arabic": ("لا", "نعم"),
    "thai": ("ไม่", "ใช่"),
    "numbers": ("1", "10", "100"),
}


def prompt_of(words: tuple[str, ...]) -> Prompt:
    return Prompt("Search: ", "\nProduct: ", "\nMatch:", words)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: family_model(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


def open_teacher(folder: Path, words: tuple[str, ...]) -> CausalTeacher:
    return CausalTeacher(str(folder), prompt_of(words), query_tokens=16, item_tokens=32, dtype="float32", batch_size=4)


def by_the_chain_rule(teacher: CausalTeacher, query: str, item: str) -> np.ndarray:
    """log P(word) of every level, each read alone, less where another word goes on, among each other."""
    prompt = teacher.prompts.prompt
    start = teacher.prompts.before[:1] if teacher.tokenizer.bos_token_id is not None else []
    asked = prompt.render(query, item)

    def tokens(text: str) -> list[int]:
        return [*start, *teacher.tokenizer(text, add_special_tokens=False)["input_ids"]]

    rows = {word: tokens(f"{asked} {word}") for word in prompt.words}
    found = {}
    for word, row in rows.items():
        with torch.inference_mode():
            log_prob = teacher.model.causal_lm(torch.tensor([row])).logits[0].double().log_softmax(-1)
        first = len(tokens(asked))
        total = sum(float(log_prob[at - 1, row[at]]) for at in range(first, len(row)))
        goes_on = {other[len(row)] for other in rows.values() if other[: len(row)] == row and len(other) > len(row)}
        found[word] = total + float(np.log(1 - sum(float(log_prob[-1, token].exp()) for token in goes_on)))
    log_odds = np.array([found[word] for word in prompt.words])
    return log_odds - np.logaddexp.reduce(log_odds)


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_level_is_as_probable_as_its_whole_word(models: dict[str, Path], family: str, kind: str) -> None:
    teacher = open_teacher(models[family], WORDS[kind])
    assert teacher.packs
    wanted = [by_the_chain_rule(teacher, *pair) for pair in PAIRS]
    np.testing.assert_allclose(teacher.score(PAIRS).log_odds, wanted, atol=2e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_padded_passes_say_the_same_and_the_state_is_the_prompts(models: dict[str, Path], family: str) -> None:
    words = WORDS["chinese"]
    packed = open_teacher(models[family], words).score(PAIRS)
    with patch.object(CausalTeacher, "_can_pack", return_value=False):
        padded = open_teacher(models[family], words).score(PAIRS)
    np.testing.assert_allclose(packed.log_odds, padded.log_odds, atol=1e-4)
    assert packed.state is not None and packed.state.shape == (len(PAIRS), 32)
    np.testing.assert_allclose(packed.state, padded.state, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_digits_are_one_token_behind_the_prompt_and_cost_one_pass(models: dict[str, Path], family: str) -> None:
    teacher = open_teacher(models[family], WORDS["digits"])
    assert teacher.prompts.levels.is_plain and len(teacher.prompts.levels.nodes) == 1
    with patch.object(teacher.model, "forward", wraps=teacher.model.forward) as forward:
        teacher.score(PAIRS)
    assert forward.call_count == 1


def test_words_of_several_tokens_go_through_in_the_same_pass(models: dict[str, Path]) -> None:
    teacher = open_teacher(models["qwen"], WORDS["numbers"])
    assert len(teacher.prompts.levels.nodes) > 1
    with patch.object(teacher.model, "forward", wraps=teacher.model.forward) as forward:
        teacher.score(PAIRS[:2])
    assert forward.call_count == 1
    tokens, _ = teacher.workload(PAIRS[:2])
    assert tokens < 1.5 * sum(len(teacher.prompts(*pair)) for pair in PAIRS[:2])


TEXTS = [("red shoe", "blue lamp"), ("big 7", "steel bolt 10"), ("无关", "相关 x"), ("héllo", "no"), ("a", "b: c")]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("texts", TEXTS)
def test_pieces_have_the_tokens_of_the_whole_prompt(family: str, texts: tuple[str, str]) -> None:
    tokenizer, prompt = family_tokenizer(family), prompt_of(WORDS["words"])
    found = PromptEncoder(prompt, tokenizer, 64, 64)(*texts)
    whole = tokenizer(prompt.render(*texts), add_special_tokens=False)["input_ids"]
    assert found[len(found) - len(whole) :] == whole


def test_labels_of_one_token_and_no_added_blank_keep_their_fingerprint(models: dict[str, Path]) -> None:
    def habits(family: str, kind: str) -> tuple[object, ...]:
        return PromptEncoder(prompt_of(WORDS[kind]), family_tokenizer(family), 8, 8).habits

    assert PromptEncoder(prompt_of(("0", "1")), family_tokenizer("gpt2"), 8, 8).habits == ()
    assert habits("qwen", "digits") and habits("llama2", "words") and habits("gemma", "chinese")


@pytest.mark.parametrize(
    ("tokens", "nodes", "common"),
    [
        ([[1], [2]], [()], ()),
        ([[9, 1], [9, 2]], [()], (9,)),
        ([[1], [2, 3]], [(), (2,)], ()),
        ([[1], [1, 2]], [()], (1,)),
        ([[1, 2], [1, 3], [4]], [(), (1,)], ()),
        ([[1], [1, 2], [1, 2, 3]], [(), (2,)], (1,)),
    ],
)
def test_the_model_is_asked_wherever_words_part(tokens: list, nodes: list, common: tuple) -> None:
    levels = LevelWords.of([str(word) for word in tokens], tokens)
    assert levels.nodes == nodes and levels.common == common


def test_a_word_that_another_goes_on_from_has_what_is_left() -> None:
    levels = LevelWords.of(["exact", "exact match"], [[1], [1, 2]])
    asked = torch.tensor([[[0.3]]]).log()  # P(match | exact) = .3
    torch.testing.assert_close(levels.log_odds(asked).exp(), torch.tensor([[0.7, 0.3]]))


@pytest.mark.parametrize(
    ("tokens", "complaint"),
    [([[1], [1]], "same tokens"), ([[1, 2], [1, 2], [3]], "same tokens"), ([[0], [1]], "cannot write")]
    + [([[1, 0], [2]], "cannot write"), ([[], [1]], "cannot write")],
)
def test_words_that_are_no_words_to_it_are_refused(tokens: list, complaint: str) -> None:
    with pytest.raises(PrectrError, match=complaint):
        LevelWords.of(["no", "weak", "yes"][: len(tokens)], tokens, unknown=0)
