"""Late interaction with kernel pooling: token vectors of two texts in, relevance-level logits out.

Sources: kernel pooling, K-NRM (Xiong et al., SIGIR 2017); kernels over lightly contextualised tokens, TK (Hofstätter
    et al., ECAI 2020); MaxSim, ColBERT (Khattab & Zaharia, SIGIR 2020). That they are used together, over static and
    contextual vectors at once, is ours [O].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prectr.shared.errors import PrectrError
from prectr.shared.run.ranges import Ranged

ABSENT = -10.0
"""Similarity written where a token pair does not exist: so far from every kernel's mean that each kernel is 0 there."""

LEAST_EXPONENT = -87.0
"""e to this is the smallest normal float32, as good as 0; below it a processor takes fifty times as long for a number
[measured]."""

CELLS_AT_ONCE = 1 << 18
"""Similarities that kernels are computed of together: of few pairs a call costs more than what it computes."""


def default_kernel_means() -> list[float]:
    """13 means: one for identical tokens, twelve evenly spaced over (-1, 1) [O, after K-NRM]."""
    return [1.0, 0.95, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25, 0.15, 0.0, -0.2, -0.5]


def default_kernel_widths() -> list[float]:
    """Standard deviations of `default_kernel_means`; the first is wide enough for bf16's rounding of a cosine of 1 (±
    .004).
    """
    return [0.02] + [0.07] * 9 + [0.1, 0.15, 0.25]


@dataclass
class EncoderConfig(Ranged):
    """What `level_head/config.json` holds.

    Args:
        level_names: the K relevance levels from lowest to highest.
        query_length, item_length: tokens kept of a query and of an item text, `[CLS]` and `[SEP]` included.
        vector_size: width of a contextual token vector.
        state_size: width of the pair state h.
        kernel_means, kernel_widths: μ and σ of the Gaussian kernels over cosine similarities.
    """

    level_names: list[str]
    query_length: int = field(default=16, metadata={"range": (1, 100_000)})
    item_length: int = field(default=32, metadata={"range": (1, 100_000)})
    vector_size: int = field(default=128, metadata={"range": (1, 100_000)})
    state_size: int = field(default=64, metadata={"range": (1, 100_000)})
    kernel_means: list[float] = field(default_factory=default_kernel_means, metadata={"range": (-2, 2)})
    kernel_widths: list[float] = field(default_factory=default_kernel_widths, metadata={"range": (1e-6, 100)})

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.kernel_means) != len(self.kernel_widths):
            raise PrectrError(
                f"kernel_means: found {len(self.kernel_means)}, but {len(self.kernel_widths)} kernel_widths; give each "
                "kernel one of both."
            )


class TokenVectors(NamedTuple):
    """The tokens of n texts as unit vectors. `[CLS]`, `[SEP]` and padding have `mask` False and weight 0."""

    contextual: Tensor  # [n, L, vector_size], unit norm
    static: Tensor  # [n, L, hidden_size], unit norm: the word embeddings
    mask: Tensor  # [n, L] bool
    weight: Tensor  # [n, L] idf, >= 0
    pooled: Tensor  # [n, hidden_size], unit norm: the mean of the last layer over all tokens, [CLS] and [SEP] included

    def take(self, index: Tensor) -> TokenVectors:
        """Rows `index` [B] (repeats allowed), e.g. one text per pair out of the distinct texts of a batch."""
        return TokenVectors(*(part.index_select(0, index) for part in self))

    def lengths(self, multiple: int = 8) -> Tensor:
        """How many token places each text needs [n]: up to its last token, rounded up to `multiple`, at most L."""
        places = torch.arange(1, self.mask.shape[1] + 1, device=self.mask.device)
        needed = (self.mask * places).amax(1).clamp(min=1)
        return (-(-needed // multiple) * multiple).clamp(max=self.mask.shape[1])

    def cut(self, length: int) -> TokenVectors:
        """The first `length` token places."""
        tokens = ("contextual", "static", "mask", "weight")
        return self._replace(**{name: getattr(self, name)[:, :length] for name in tokens})

    def pad(self, length: int) -> TokenVectors:
        """The same texts with `length` >= L token places, the new ones empty."""
        more = length - self.mask.shape[1]
        return TokenVectors(
            F.pad(self.contextual, (0, 0, 0, more)),
            F.pad(self.static, (0, 0, 0, more)),
            F.pad(self.mask, (0, more)),
            F.pad(self.weight, (0, more)),
            self.pooled,
        )


class KernelSums(torch.autograd.Function):
    """Σ_j exp(−(S_ij − μ_k)² / 2σ_k²) for every row i of a similarity matrix and kernel k.

    [B, Lq, Li] -> [B, Lq, kernels]. Keeps S alone for the backward pass, not a [B, Lq, Li, kernels] tensor: thousands
    of pairs fit in one batch.
    """

    @staticmethod
    def forward(ctx: Any, similarity: Tensor, means: list[float], widths: list[float]) -> Tensor:
        ctx.save_for_backward(similarity)
        ctx.kernels = list(zip(means, widths, strict=True))
        kernels = similarity.new_tensor([(mean, _factor(width)) for mean, width in ctx.kernels])[..., None, None, None]
        # A graph that is exported takes any number of pairs.
        cells = 1 if torch.compiler.is_exporting() else similarity.numel()
        parts = kernels.split(max(CELLS_AT_ONCE // max(cells, 1), 1))
        return torch.cat([_gaussian(similarity, *part.unbind(1)).sum(-1) for part in parts]).movedim(0, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (similarity,) = ctx.saved_tensors
        total = torch.zeros_like(similarity)
        for k, (mean, width) in enumerate(ctx.kernels):
            slope = _gaussian(similarity, mean, _factor(width)).mul_(similarity - mean).mul_(-1 / width**2)
            total.addcmul_(slope, grad[..., k, None])
        return total, None, None


def _factor(width: float) -> float:
    return -0.5 / width**2


def _gaussian(similarity: Tensor, mean: float | Tensor, factor: float | Tensor) -> Tensor:
    return (similarity - mean).square_().mul_(factor).clamp_(min=LEAST_EXPONENT).exp_()


class LevelHead(nn.Module):
    """Turns the token vectors of B pairs into pair states h and level logits.

    Features per kind of vector (contextual, static): each kernel's log(1 + sum), idf-weighted mean over query tokens
    [K-NRM, TK]; idf-weighted MaxSim query → item and item → query [O]. Beside them the cosine of the pooled vectors,
    which carries over best to words that training never showed, and the two texts' lengths, log(1 + sum of idf): what a
    match is worth depends on how much was asked for [O]. A two-layer perceptron makes h of them, a linear layer the K
    logits. All but the matrix products run in float32 under autocast too.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.means, self.widths = list(config.kernel_means), list(config.kernel_widths)
        num_features = 2 * (len(self.means) + 2) + 3
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(num_features))
        self.hidden = nn.Linear(num_features, config.state_size)
        self.state = nn.Linear(config.state_size, config.state_size)
        self.classifier = nn.Linear(config.state_size, len(config.level_names))

    def features(self, query: TokenVectors, item: TokenVectors) -> Tensor:
        """[B, 2 * (kernels + 2) + 3] in float32; finite (zeros) where a text has no token."""
        absent = ~(query.mask[:, :, None] & item.mask[:, None, :])
        contextual, static = (
            (of_query @ of_item.transpose(1, 2)).float().masked_fill(absent, ABSENT)
            for of_query, of_item in ((query.contextual, item.contextual), (query.static, item.static))
        )
        cosine = (query.pooled.float() * item.pooled.float()).sum(1)
        return self.features_of(contextual, static, cosine, query.weight, item.weight)

    def features_of(
        self, contextual: Tensor, static: Tensor, cosine: Tensor, query_weight: Tensor, item_weight: Tensor
    ) -> Tensor:
        """As `features`, of what was compared already.

        Args:
            contextual, static: [B, Lq, Li] similarities of tokens, `ABSENT` where there are no such two. cosine: [B],
                of the pooled vectors. query_weight, item_weight: [B, Lq] and [B, Li], idf.
        """
        query_share, item_share = _share(query_weight), _share(item_weight)
        parts = []
        kernel_sums: Callable[..., Tensor] = KernelSums.apply
        for similarity in (contextual, static):
            sums = kernel_sums(similarity, self.means, self.widths)
            parts.append((torch.log1p(sums) * query_share[..., None]).sum(1))
            parts.append(_weighted_max(similarity, query_share, dim=2))
            parts.append(_weighted_max(similarity, item_share, dim=1))
        parts.append(cosine[:, None])
        parts.extend(torch.log1p(weight.float().sum(1, keepdim=True)) for weight in (query_weight, item_weight))
        return torch.cat(parts, dim=-1)

    def forward(self, query: TokenVectors, item: TokenVectors) -> Tensor:
        """Pair state h [B, state_size] in float32 of B pairs (row b of `query` with row b of `item`)."""
        return self.state_of(self.features(query, item))

    def state_of(self, features: Tensor) -> Tensor:
        """[B, features] as `features` gives them -> pair state h [B, state_size] in float32."""
        with torch.autocast(features.device.type, enabled=False):
            standard = (features - self.shift) / self.scale
            return F.gelu(self.state(F.gelu(self.hidden(standard))))

    def logits(self, state: Tensor) -> Tensor:
        """[B, state_size] -> level logits [B, K] in float32."""
        with torch.autocast(state.device.type, enabled=False):
            logits: Tensor = self.classifier(state.float())
            return logits

    @torch.no_grad()
    def standardise(self, features: Tensor) -> None:
        """Fixes each feature's shift and scale by a sample [n, features]: unequal scales are slow to learn from [O]."""
        self.shift.copy_(features.mean(0))
        self.scale.copy_(features.std(0).clamp(min=1e-2))

    @property
    def maxsim_feature(self) -> int:
        """Which of the features is the MaxSim of the contextual vectors, query → item."""
        return len(self.means)

    @property
    def cosine_feature(self) -> int:
        """Which of the features is the cosine of the pooled vectors."""
        return 2 * (len(self.means) + 2)

    @torch.no_grad()
    def start_as_maxsim(self, scale: float, bias: Sequence[float]) -> None:
        """Makes the logit of level k `k · scale · m + bias_k`, m the standardised MaxSim of the contextual vectors:
        what is trained from here begins with what the vectors know untrained, not with noise [O].

        It goes through the perceptron as it is, on two units each: gelu(x) − gelu(−x) = x. The others have no say yet.
        """
        for layer, inputs in ((self.hidden, [self.maxsim_feature]), (self.state, [0, 1])):
            layer.weight[:2] = 0.0
            layer.bias[:2] = 0.0
            for column, sign in zip(inputs, (1.0, -1.0), strict=False):
                layer.weight[:2, column] = sign * layer.weight.new_tensor([1.0, -1.0])
        slope = scale * torch.arange(len(bias), dtype=torch.float32)
        self.classifier.weight.zero_()
        self.classifier.weight[:, :2] = torch.stack([slope, -slope], 1).to(self.classifier.weight)
        self.classifier.bias.copy_(torch.tensor(list(bias)))

    @torch.no_grad()
    def fold_temperature(self, temperature: float) -> None:
        """Divides all later logits by `temperature` > 0, by way of the classifier's weights."""
        self.classifier.weight.div_(temperature)
        self.classifier.bias.div_(temperature)


def _share(weight: Tensor) -> Tensor:
    """[n, L] weights -> each row's shares, all zero for a text without tokens."""
    weight = weight.float()
    return weight / weight.sum(1, keepdim=True).clamp(min=1e-6)


def _weighted_max(similarity: Tensor, share: Tensor, dim: int) -> Tensor:
    """Each token's best match in the other text, averaged with `share` [B, L]: [B, 1]. Nothing to match counts as 0."""
    best = similarity.amax(dim)
    return (best.masked_fill(best == ABSENT, 0.0) * share).sum(1, keepdim=True)
