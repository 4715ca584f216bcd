"""What the student is trained on: the teacher's soft levels and state, then gold levels and a query's order of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from prectr.shared.training.whole_batch import batch_mean


def distillation_loss(
    student_logits: Tensor,
    teacher_log_odds: Tensor,
    student_state: Tensor,
    teacher_state: Tensor | None,
    temperature: float,
    hidden_state_weight: float,
    censored: Tensor | None = None,
    confidence_power: float = 0.0,
) -> Tensor:
    """L_KD = T² · KL(softmax(z_T/T) ‖ softmax(z_S/T)) + β · (1 − cos(W·h_S, h_T)), averaged over pairs, the first term
    with weights c^γ [O: the exact form].

    Args:
        student_logits, teacher_log_odds: [B, K]; a constant added to a row changes nothing.
        student_state: [B, H], W·h_S, already of the teacher's width.
        teacher_state: [B, H], or None for a teacher without one: the second term is then absent.
        temperature: T > 0. T² keeps the gradient's size when T grows [Hinton et al., 2015].
        hidden_state_weight: β >= 0.
        censored: [B, K] bool, True where the teacher's log-odds are an upper bound; see `within_bounds`.
        confidence_power: γ >= 0 of c, the teacher's `confidence`; 0: all pairs weigh alike.
    """
    if censored is not None:
        teacher_log_odds = within_bounds(teacher_log_odds, student_logits, censored)
    target = F.log_softmax(teacher_log_odds.float() / temperature, dim=-1)
    found = F.log_softmax(student_logits.float() / temperature, dim=-1)
    divergence = F.kl_div(found, target, reduction="none", log_target=True).sum(-1)
    weight = confidence(teacher_log_odds) ** confidence_power if confidence_power > 0 else None
    loss = temperature**2 * batch_mean(divergence, weight)
    if teacher_state is not None and hidden_state_weight > 0:
        cosine = F.cosine_similarity(student_state.float(), teacher_state.float(), dim=-1)
        loss = loss + hidden_state_weight * batch_mean(1 - cosine)
    return loss


def confidence(log_odds: Tensor) -> Tensor:
    """How sure a judge is of a pair's level, [B] from log-odds [B, K], K >= 2: 1 − entropy / log K; 0 where all levels
    are as likely, 1 where one is certain [O]."""
    log_prob = F.log_softmax(log_odds.float(), dim=-1)
    entropy = -(log_prob.exp() * log_prob).nan_to_num().sum(-1)
    return (1 - entropy / math.log(log_odds.shape[-1])).clamp(0, 1)


def within_bounds(teacher_log_odds: Tensor, student_logits: Tensor, censored: Tensor) -> Tensor:
    """The teacher's log-odds [B, K] where it gave them; where it only gave a bound, the student's own, up to the bound
    [O].

    A student below the bound is not pulled to it; one above is. Both rows are aligned on the levels that were given.
    """
    teacher, student = teacher_log_odds.float(), student_logits.detach().float()
    given = [z.masked_fill(censored, -torch.inf).logsumexp(-1, keepdim=True) for z in (teacher, student)]
    return torch.where(censored, torch.minimum(teacher, student - given[1] + given[0]), teacher)


def gold_loss(student_logits: Tensor, levels: Tensor) -> Tensor:
    """Cross-entropy of logits [B, K] on gold levels [B] [P]."""
    return batch_mean(F.cross_entropy(student_logits.float(), levels, reduction="none"))


def within_query_loss(logits: Tensor, levels: Tensor, query: Tensor) -> Tensor:
    """Pairwise logistic loss of the expected levels: the mean of log(1 + e^−(s_a − s_b)) over all rows a, b of one
    query with a's level above b's; 0 where there are none [RankNet, Burges et al., ICML 2005; here: O].

    Cross-entropy alone learns which queries are easy. Of a batch that processes share all rows of a query must be one
    process's (`prectr.shared.training.whole_batch.part_of_groups`).

    Args:
        logits: [B, K]. levels: [B] gold. query: [B] int, equal for rows of one query.
    """
    steps = torch.arange(logits.shape[1], device=logits.device, dtype=torch.float32)
    score = logits.float().softmax(-1) @ steps
    above = (query[:, None] == query[None, :]) & (levels[:, None] > levels[None, :])
    return batch_mean(F.softplus(score[None, :] - score[:, None]).flatten(), above.float().flatten())
