"""bfloat16 only where it pays: what the processor says decides, and a setting that asks for it is no order."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from prectr.distill.config import TeacherArguments
from prectr.distill.training import training_arguments
from prectr.shared.training.precision import has_bf16


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    has_bf16.cache_clear()
    yield
    has_bf16.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({}, False),
    ],
)
def test_a_processor_is_asked_for_its_instructions(
    capabilities: dict[str, bool], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_bf16() is expected
    assert training_arguments(tmp_path, epochs=1, batch_size=1, bf16=True, seed=0).bf16 is expected
    assert training_arguments(tmp_path, epochs=1, batch_size=1, bf16=False, seed=0).bf16 is False
    assert TeacherArguments(teacher_dtype="auto").dtype == ("bfloat16" if expected else "float32")
    assert TeacherArguments(teacher_dtype="bfloat16").dtype == "bfloat16"
