"""Where both stages compute, and whether bfloat16 pays there.

The device is a GPU if torch sees one, else the CPU, for training, labelling and scoring alike; transformers' Trainer
would choose more (Apple's MPS, XPU), where no figure of this project was measured and float64 may be missing, so it is
told (`trainer_settings`). Of several GPUs each process of a launch has its own: torch's current device.

A processor without instructions for it multiplies bfloat16 matrices several times slower than float32 ones (8 times on
a Zen 3 core), so a setting that asks for bfloat16 means: where the device can.
"""

from __future__ import annotations

from typing import TypedDict

import torch

GPUS_OF_A_PART = 1.0
"""What a part of a step takes of an engine's nodes, if they have any, that computes on `compute_device()` there."""


class TrainerSettings(TypedDict):
    """What `TrainingArguments` is told of device and precision, by its own names."""

    bf16: bool
    use_cpu: bool


def compute_device() -> torch.device:
    """The current GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether that device multiplies bfloat16 matrices in hardware; of a GPU, torch's current one is asked."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def autocast(device: torch.device, bf16: bool) -> torch.autocast:
    """A context whose matrix products on `device` are bfloat16 if `bf16` asks for it and the device has it; else it
    changes nothing.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16 and has_bf16(device))


def trainer_settings(bf16: bool) -> TrainerSettings:
    """`TrainingArguments(**trainer_settings(bf16))` trains on `compute_device()`, its matrix products in bfloat16 as in
    `autocast`.
    """
    device = compute_device()
    return {"bf16": bf16 and has_bf16(device), "use_cpu": device.type == "cpu"}
