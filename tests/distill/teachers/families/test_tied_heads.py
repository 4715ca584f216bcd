"""Adapters on models whose word embeddings are their output matrix: as peft has them, or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.lora import merge_teacher
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.errors import PrectrError
from tests.distill.teachers.families.tiny_models import family_model

PROMPT = Prompt("Search: ", "\nProduct: ", "\nMatch:", ("0", "1", "2", "3"))
PAIRS = [("red shoe", "red leather shoe"), ("blue lamp", "x")]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    return {tie: family_model(tmp_path_factory.mktemp(f"tied-{tie}"), "gemma", tie=tie) for tie in (True, False)}


def adapted(base: Path, folder: Path, **settings: Any) -> tuple[Path, Any]:
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, task_type="CAUSAL_LM", **settings)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).eval()
    for name, weight in model.named_parameters():
        if "modules_to_save" in name:
            torch.nn.init.normal_(weight)
    model.save_pretrained(folder)
    return folder, model


def open_teacher(base: Path, adapter: Path) -> CausalTeacher:
    return CausalTeacher(str(base), PROMPT, query_tokens=16, item_tokens=32, adapter=adapter, dtype="float32")


def by_peft(teacher: CausalTeacher, model: Any) -> np.ndarray:
    ids = teacher.prompts.level_ids
    with torch.inference_mode():
        rows = [model(input_ids=torch.tensor([teacher.prompts(*pair)])).logits[0, -1, ids] for pair in PAIRS]
    return torch.stack(rows).log_softmax(-1).numpy()


ON_THE_ENDS: list[dict[str, Any]] = [
    {"target_modules": ["q_proj", "lm_head"]},
    {"target_modules": ["lm_head"]},
    {"target_modules": ["v_proj", "embed_tokens"]},
    {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
]


@pytest.mark.parametrize("settings", ON_THE_ENDS)
def test_an_adapter_on_tied_ends_is_refused_to_judge_and_to_be_merged(
    bases: dict[bool, Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    adapter, _ = adapted(bases[True], tmp_path / "adapter", **settings)
    with pytest.raises(PrectrError, match="are one; train it without") as raised:
        open_teacher(bases[True], adapter)
    assert "\n" not in str(raised.value)
    with pytest.raises(PrectrError, match="are one; train it without"):
        merge_teacher(str(bases[True]), adapter, tmp_path / "merged", "float32")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("settings", ON_THE_ENDS)
def test_where_the_ends_are_apart_it_judges_as_peft_does(
    bases: dict[bool, Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    adapter, model = adapted(bases[False], tmp_path / "adapter", **settings)
    teacher = open_teacher(bases[False], adapter)
    np.testing.assert_allclose(teacher.score(PAIRS).log_odds, by_peft(teacher, model), atol=1e-3)


@pytest.mark.parametrize("target", ["all-linear", ["q_proj", "v_proj"]])
def test_an_adapter_beside_tied_ends_judges_as_peft_does(bases: dict[bool, Path], tmp_path: Path, target: Any) -> None:
    adapter, model = adapted(bases[True], tmp_path / "adapter", target_modules=target)
    teacher = open_teacher(bases[True], adapter)
    np.testing.assert_allclose(teacher.score(PAIRS).log_odds, by_peft(teacher, model), atol=1e-3)


def test_an_adapter_on_the_head_that_is_not_merged_counts_too(bases: dict[bool, Path], tmp_path: Path) -> None:
    adapter, model = adapted(bases[False], tmp_path / "adapter", **ON_THE_ENDS[0])
    teacher = open_teacher(bases[False], adapter)
    merged = teacher.score(PAIRS).log_odds
    teacher.model.causal_lm = model
    np.testing.assert_allclose(teacher.score(PAIRS).log_odds, merged, atol=1e-3)
