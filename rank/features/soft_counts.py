"""Soft counts: how often past events were of something *like* the candidate, by the words of its text.

An exact match counts this very item or brand; a kernel over the cosine of two texts counts what reads like it. Each
kernel is a count of its own, from the same words to other ones, of which the same is said as of an exact match: that is
the limit of a narrow kernel.

Source: kernel pooling, K-NRM (Xiong et al., SIGIR 2017); over past events, weighed as they are here, it is ours [O].
"""

import torch
from torch import Tensor

from prectr.rank.features.exact_match import NOTHING, STATISTICS, statistics, together
from prectr.shared.encoder.level_head import LEAST_EXPONENT

KERNELS = ((1.0, 0.003), (0.98, 0.015), (0.93, 0.03), (0.85, 0.05), (0.7, 0.08), (0.5, 0.1), (0.25, 0.12), (0.0, 0.12))
"""Means and widths: neighbours overlap a little. The first counts equal texts, whose cosine is 1 but for float16's
rounding: on the data set `listings` a width of .003 in place of .03 is worth .007 of AUC."""

_GAUSSIANS = torch.tensor([(mean, -0.5 / width**2) for mean, width in KERNELS])[..., None, None, None]

FARTHEST = -1.0  # the least cosine there is: that of the nearest event where there is none

NEAREST = {
    "nearest": "cosine to the clicked item that reads most like it",
    "nearest_under_query": "cosine to the item clicked under the query that reads most like it",
    "recent_mean": "mean cosine to the clicked items, each weighed by 1 / (1 + days since)",
    "mean": "mean cosine to the clicked items",
    "skipped_mean": "mean cosine to the items shown and not clicked",
}
"""What is said beside the counts, by name: -1 (the nearest) or 0 (the means) without such an event."""


def kernel_name(mean: float) -> str:
    """What a kernel is called in a column's name: its mean in hundredths."""
    return f"{round(100 * mean)}"


UNLIKE_ANYTHING = {f"{kernel_name(mean)}_{name}": value for mean, _ in KERNELS for name, value in NOTHING.items()} | {
    name: FARTHEST if name.startswith("nearest") else 0.0 for name in NEAREST
}
"""`soft_statistics` by name, as they are where there is no past event."""


def soft_statistics(target: Tensor, events: Tensor, weights: Tensor) -> Tensor:
    """What past events whose text is like the candidates' say of them.

    Args:
        target: [G, C, V] unit vectors of a page's candidates. events: [G, H, V] of its past events.
        weights: [G, H, 5], `event_weights`; zeros where there is no event.

    Returns:
        float32 [G, C, 6 · 7 + 5], finite, in the order of `UNLIKE_ANYTHING`: kernel by kernel the `statistics` of the
        events, each counted by exp(−(cosine − mean)² / 2 width²), then `NEAREST`.
    """
    cosine = target @ events.transpose(1, 2)  # [G, C, H]
    parts = _GAUSSIANS.to(cosine).split(together(cosine.numel()))
    counted = torch.cat([statistics(_kernel(cosine, *part.unbind(1)), weights) for part in parts])  # [8, G, C, 7]
    clicks, known, recent, asked, _ = weights.unbind(-1)
    sums = torch.stack([recent, clicks, known - clicks], -1)  # [G, H, 3]
    means = (cosine @ sums) / sums.sum(1, keepdim=True).clamp(min=torch.finfo(sums.dtype).tiny)
    nearest = torch.stack([_nearest(cosine, clicks), _nearest(cosine, asked)], -1)
    return torch.cat([counted.permute(1, 2, 0, 3).flatten(2), nearest, means], -1)


def _kernel(cosine: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    return (cosine - mean).square_().mul_(factor).clamp_(min=LEAST_EXPONENT).exp_()


def _nearest(cosine: Tensor, clicks: Tensor) -> Tensor:
    """The largest cosine [G, C] to an event that was clicked; `clicks` [G, H] is 0 where it was not."""
    if not cosine.shape[-1]:
        return torch.full(cosine.shape[:-1], FARTHEST)
    return cosine.masked_fill((clicks == 0)[:, None], FARTHEST).amax(-1)


assert len(UNLIKE_ANYTHING) == len(KERNELS) * len(STATISTICS) + len(NEAREST)
