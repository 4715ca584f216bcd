"""The teacher's short cut gives what the whole model would, and its passes have one shape."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig, GPT2Config, GraniteConfig, LlamaModel

from prectr.distill.models.random_models import random_causal_lm
from prectr.distill.teachers.base import Pair
from prectr.distill.teachers.causal import SHARED_TOKENS, CausalTeacher, LabelTokenModel
from prectr.distill.teachers.packing import ROW_LENGTH
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.errors import PrectrError

PROMPT = Prompt("Search: ", "\nProduct: ", "\nMatch:", ("none", "weak", "close", "exact"))
WORDS = "search product match none weak close exact : milk soda red lamp cheap table"
PAIRS = [("milk", "cheap milk"), ("red lamp", "lamp red table " * 8), ("soda", "milk"), ("table", "")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    random_causal_lm(folder, [WORDS], seed=0)
    return folder


def open_teacher(folder: Path, adapter: Path | None = None, **changes) -> CausalTeacher:
    settings = {"prompt": PROMPT, "query_tokens": 8, "item_tokens": 32, "dtype": "float32", "batch_size": 4} | changes
    return CausalTeacher(str(folder), adapter=adapter, **settings)


def open_unpacked(folder: Path, **changes: Any) -> CausalTeacher:
    with patch.object(CausalTeacher, "_can_pack", return_value=False):
        return open_teacher(folder, **changes)


def test_label_logits_are_those_of_the_whole_model(folder: Path) -> None:
    teacher = open_teacher(folder)
    found = teacher.score(PAIRS)
    for row, pair in enumerate(PAIRS):
        ids = torch.tensor([teacher.prompts(*pair)])
        with torch.no_grad():
            whole = teacher.model.causal_lm(ids).logits[0, -1, teacher.prompts.level_ids].log_softmax(-1)
        np.testing.assert_allclose(found.log_odds[row], whole.numpy(), atol=1e-5)


def test_level_probabilities_sum_to_one_and_states_are_as_wide_as_the_model(folder: Path) -> None:
    judgement = open_teacher(folder).score(PAIRS)
    np.testing.assert_allclose(judgement.level_prob.sum(1), 1, atol=1e-5)
    assert judgement.state is not None and judgement.state.shape == (4, 64)


def shapes_of_passes(teacher: CausalTeacher, pairs: list[Pair]) -> list[tuple[int, ...]]:
    with patch.object(teacher.model, "forward", wraps=teacher.model.forward) as forward:
        teacher.score(pairs)
    return [tuple(call.args[0].shape) for call in forward.call_args_list]


def test_packed_passes_have_rows_of_one_length_and_read_a_query_once(folder: Path) -> None:
    teacher = open_teacher(folder)
    pairs = [("milk", f"cheap {word} lamp lamp red red table table") for word in WORDS.split()]
    assert teacher.packs and teacher.padded_length(PAIRS[0]) == ROW_LENGTH
    assert shapes_of_passes(teacher, pairs) == [(1, ROW_LENGTH)] * 2
    tokens, padded = teacher.workload(pairs)
    assert tokens < 0.75 * sum(map(teacher.tokens, pairs)) and padded == 2 * ROW_LENGTH


def test_padded_passes_have_the_full_batch_and_a_multiple_of_eight(folder: Path) -> None:
    teacher = open_unpacked(folder)
    assert set(shapes_of_passes(teacher, PAIRS * 3)) == {(4, 8), (4, 16), (4, 40)}
    assert teacher.batch_size == 4 and teacher.padded_length(PAIRS[0]) == 16


def test_packed_and_padded_passes_say_the_same(folder: Path) -> None:
    packed, padded = open_teacher(folder).score(PAIRS * 3), open_unpacked(folder).score(PAIRS * 3)
    np.testing.assert_allclose(packed.log_odds, padded.log_odds, atol=1e-4)


@pytest.mark.parametrize("ignored", ["attention_mask", "position_ids"])
def test_a_model_that_minds_no_mask_or_position_is_not_packed(folder: Path, ignored: str) -> None:
    forward = LlamaModel.forward

    def without(self: LlamaModel, **inputs: Any) -> Any:
        inputs.pop(ignored, None)
        return forward(self, **inputs)

    with patch.object(LlamaModel, "forward", without):
        assert not open_teacher(folder).packs


def test_a_model_that_refuses_a_mask_of_four_dimensions_is_not_packed(folder: Path) -> None:
    forward = LlamaModel.forward

    def refuse(self: LlamaModel, attention_mask: Any = None, **inputs: Any) -> Any:
        if attention_mask is not None:
            raise ValueError("attention_mask must have two dimensions")
        return forward(self, **inputs)

    with patch.object(LlamaModel, "forward", refuse):
        assert not open_teacher(folder).packs


def test_a_pairs_judgement_does_not_depend_on_its_neighbours(folder: Path) -> None:
    teacher = open_teacher(folder)
    alone = teacher.score([PAIRS[2]])
    np.testing.assert_allclose(teacher.score(PAIRS).log_odds[2], alone.log_odds[0], atol=1e-5)


def test_whatever_changes_a_judgement_changes_the_fingerprint(folder: Path) -> None:
    plain = open_teacher(folder, identity="a").fingerprint
    assert open_teacher(folder, identity="a").fingerprint == plain
    changes = [{"identity": "b"}, {"item_tokens": 16}, {"dtype": "bfloat16"}, {"prompt": FEW_SHOT}]
    found = {open_teacher(folder, **{"identity": "a"} | change).fingerprint for change in changes}
    assert len({plain, *found}) == 5


FEW_SHOT = Prompt(
    "Search: milk\nProduct: cheap milk\nMatch: exact\n\nSearch: lamp\nProduct: milk\nMatch: none\n\nSearch: ",
    *(PROMPT.between, PROMPT.after, PROMPT.words),
)


def random_model_of(family: str, folder: Path, target: Path) -> Path:
    """An untrained model of another family with the tokenizer of `folder`."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    if "gemma3" in family:
        settings = {"head_dim": 16, "num_key_value_heads": 1, "intermediate_size": 64, "final_logit_softcapping": 0.5}
        window = 12 if "narrow" in family else 256
        config: Any = Gemma3TextConfig(**sizes, **settings, sliding_window=window, layer_types=WINDOWED)
    elif family == "granite":
        config = GraniteConfig(**sizes, num_key_value_heads=2, intermediate_size=64, logits_scaling=4.0)
    else:
        config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=256)
    AutoModelForCausalLM.from_config(config).save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


WINDOWED = ["sliding_attention", "full_attention"]
FAMILIES = {"llama": True, "gemma3": True, "narrow gemma3": False, "granite": True, "gpt2": True}
"""Families, and whether prompts are packed for them."""


@pytest.mark.parametrize("family", FAMILIES)
def test_what_prompts_have_in_common_is_run_once_and_changes_nothing(folder: Path, tmp_path: Path, family: str) -> None:
    location = folder if family == "llama" else random_model_of(family, folder, tmp_path)
    teacher = open_teacher(location, prompt=FEW_SHOT)
    assert len(teacher.shared) == len(teacher.prompts.before) > SHARED_TOKENS and teacher.packs == FAMILIES[family]
    with patch("prectr.distill.teachers.causal.SHARED_TOKENS", 1000):
        plain_teacher = open_unpacked(location, prompt=FEW_SHOT)
    plain, found = plain_teacher.score(PAIRS * 2), teacher.score(PAIRS * 2)
    np.testing.assert_allclose(found.log_odds, plain.log_odds, atol=1e-4)
    assert found.state is not None and plain.state is not None
    np.testing.assert_allclose(found.state, plain.state, atol=1e-4)
    for pair in PAIRS:
        assert plain_teacher.tokens(pair) - teacher.tokens(pair) == len(teacher.shared)
    unpacked = open_unpacked(location, prompt=FEW_SHOT)
    np.testing.assert_allclose(unpacked.score(PAIRS * 2).log_odds, plain.log_odds, atol=1e-4)
    assert 0 <= unpacked.padded_length(PAIRS[0]) - unpacked.tokens(PAIRS[0]) < 8


def test_a_short_beginning_is_not_shared(folder: Path) -> None:
    teacher = open_teacher(folder)
    assert teacher.shared == [] and teacher.tokens(PAIRS[0]) == len(teacher.prompts(*PAIRS[0]))


def test_a_model_that_keeps_no_keys_shares_nothing(folder: Path) -> None:
    with patch.object(LabelTokenModel, "run_prefix", return_value=None):
        teacher = open_teacher(folder, prompt=FEW_SHOT)
    assert teacher.shared == []


@pytest.mark.parametrize("words", [("no", "yes"), ("none", "weak", "close", "exact", "cheap")])
def test_any_number_of_levels(folder: Path, words: tuple[str, ...]) -> None:
    prompt = Prompt(PROMPT.before, PROMPT.between, PROMPT.after, tuple(WORDS.split()[3 : 3 + len(words)]))
    assert open_teacher(folder, prompt=prompt).score(PAIRS).log_odds.shape == (4, len(words))


def test_a_head_of_another_kind_is_refused(folder: Path) -> None:
    with (
        patch.object(LabelTokenModel, "_logits", lambda self, state, tokens: state[:, :4] * 100),
        pytest.raises(PrectrError, match="name another teacher"),
    ):
        open_teacher(folder)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_judges_nearly_the_same(folder: Path, dtype: str) -> None:
    found, exact = open_teacher(folder, dtype=dtype).score(PAIRS), open_teacher(folder).score(PAIRS)
    assert found.log_odds.dtype == np.float32
    np.testing.assert_allclose(found.log_odds, exact.log_odds, atol=0.02)


def test_a_device_map_of_accelerate_changes_nothing(folder: Path) -> None:
    mapped = open_teacher(folder, device_map="auto").score(PAIRS)
    np.testing.assert_allclose(mapped.log_odds, open_teacher(folder).score(PAIRS).log_odds, atol=1e-6)


def test_weights_that_exist_only_while_they_run_are_read_by_running_them(folder: Path) -> None:
    teacher = open_teacher(folder)
    exact = teacher.score(PAIRS).log_odds
    cpu_offload(teacher.model.inner, execution_device=torch.device("cpu"))
    assert teacher.model.inner.get_output_embeddings().weight.is_meta
    with patch.object(LabelTokenModel, "device", torch.device("cpu")):
        np.testing.assert_allclose(teacher.score(PAIRS).log_odds, exact, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"device_map": "everywhere"}, "teacher_device_map: 'everywhere' is none of none, auto"),
        ({"device_map": "cuda:7"}, "torch sees no cuda:7 here"),
        ({"four_bit": True}, "teacher_4bit: "),
    ],
)
def test_what_the_machine_has_not_is_refused_in_one_sentence(folder: Path, changes: dict, complaint: str) -> None:
    with (
        patch("torch.cuda.is_available", return_value=False),
        pytest.raises(PrectrError, match=complaint) as raised,
    ):
        open_teacher(folder, **changes)
    assert "\n" not in str(raised.value)


def test_4_bits_without_a_gpu_are_refused_where_the_library_is_there(folder: Path) -> None:
    with (
        patch("torch.cuda.is_available", return_value=False),
        patch("prectr.distill.teachers.causal.find_spec", return_value=object()),
        pytest.raises(PrectrError, match="need a GPU"),
    ):
        open_teacher(folder, four_bit=True)
