"""A GPU where there is one, else the CPU; bfloat16 only where that very device has it: a setting that asks for it is no
order.
"""

from pathlib import Path

import pytest
import torch

from prectr.distill.training import training_arguments
from prectr.shared.training.device import autocast, compute_device, has_bf16, trainer_settings

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def machine(monkeypatch: pytest.MonkeyPatch, *, processor_bf16: bool, gpu_bf16: bool | None) -> None:
    """A machine's answers to torch; `gpu_bf16` None: it has no GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu_bf16 is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bool(gpu_bf16))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": processor_bf16})


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"bf16": True}, True),
        ({}, False),
    ],
)
def test_a_processor_is_asked_for_its_instructions(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_bf16(CPU) is expected


@pytest.mark.parametrize("processor", [True, False])
@pytest.mark.parametrize("gpu", [True, False])
def test_each_device_answers_for_itself(processor: bool, gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, processor_bf16=processor, gpu_bf16=gpu)
    assert compute_device() == GPU
    assert (has_bf16(CPU), has_bf16(GPU), has_bf16(torch.device("mps"))) == (processor, gpu, False)
    assert trainer_settings(bf16=True) == {"bf16": gpu, "use_cpu": False}


@pytest.mark.parametrize("processor", [True, False])
def test_without_a_gpu_the_processor_computes(processor: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, processor_bf16=processor, gpu_bf16=None)
    assert compute_device() == CPU
    assert trainer_settings(bf16=True) == {"bf16": processor, "use_cpu": True}
    for asked in (True, False):
        made = training_arguments(tmp_path, epochs=1, batch_size=1, bf16=asked, seed=0)
        assert (made.bf16, made.device) == (asked and processor, CPU)


@pytest.mark.parametrize(("asked", "has", "dtype"), [(True, True, torch.bfloat16), (True, False, torch.float32)])
def test_matrix_products_are_cast_where_it_pays(
    asked: bool, has: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, processor_bf16=has, gpu_bf16=None)
    with autocast(CPU, asked):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    with autocast(CPU, False):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
