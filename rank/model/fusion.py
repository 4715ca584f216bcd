"""Conditional-probability fusion: P(click) = Σ_k P(level = k) · P(click | level = k). [P]"""

import torch
from torch import Tensor
from torch.nn import functional


def fuse(click_logits: Tensor, level_logits: Tensor) -> Tensor:
    """s = logit Σ_k π_k σ(a_k), in fp32 log space: the plain sum overflows at large logits. [P]

    Args:
        click_logits: [B, K]. level_logits: [B, K], unnormalised.

    Returns:
        [B] final logit.
    """
    log_level = functional.log_softmax(level_logits.float(), -1)
    click_logits = click_logits.float()
    log_p = torch.logsumexp(functional.logsigmoid(click_logits) + log_level, -1)
    log_not_p = torch.logsumexp(functional.logsigmoid(-click_logits) + log_level, -1)
    return log_p - log_not_p
