"""Whether bfloat16 pays on this machine.

A processor without instructions for it multiplies bfloat16 matrices several times slower than float32 ones (8 times on
a Zen 3 core), so a setting that asks for bfloat16 means: where the machine can.
"""

from functools import cache

import torch


@cache
def has_bf16() -> bool:
    """Whether the GPU, or without one the processor, multiplies bfloat16 matrices in hardware."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
