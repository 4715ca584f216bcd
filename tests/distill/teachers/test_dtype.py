"""`auto` means what the machine's device can; a dtype that is named is taken as it is."""

import pytest
import torch

from prectr.distill.config import TeacherArguments
from prectr.distill.teachers.dtype import reads_bf16, resolved_dtype


@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize("has", [True, False])
def test_auto_asks_the_device(gpu: bool, has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has != gpu})
    auto = TeacherArguments(teacher_dtype="auto")
    assert (resolved_dtype(auto), reads_bf16(auto)) == ("bfloat16" if has else "float32", has)
    assert resolved_dtype(TeacherArguments(teacher_dtype="float16")) == "float16"
    assert reads_bf16(TeacherArguments(teacher_dtype="bfloat16"))
    assert not reads_bf16(TeacherArguments(teacher_dtype="float16"))
