"""In which numbers a teacher computes."""

from __future__ import annotations

from prectr.distill.config import TeacherArguments
from prectr.shared.training.device import compute_device, has_bf16


def resolved_dtype(arguments: TeacherArguments) -> str:
    """`teacher_dtype`, with what `auto` means on this machine: bfloat16 where its device has it, else float32."""
    if arguments.teacher_dtype == "auto":
        return "bfloat16" if has_bf16(compute_device()) else "float32"
    return arguments.teacher_dtype


def reads_bf16(arguments: TeacherArguments) -> bool:
    """Whether teachers that know only bfloat16 and float32 compute in bfloat16."""
    return resolved_dtype(arguments) == "bfloat16"
