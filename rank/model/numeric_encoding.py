"""Numbers as a network reads them best: how far each has passed through bins, and its plain value beside them."""

import torch
from torch import Tensor, nn

LEAST_SPREAD = 1e-2  # of a number that hardly varies
MAX_DEVIATIONS = 8.0


class NumericEncoding(nn.Module):
    """Piecewise-linear encoding of numbers [O]: each feature becomes how far it has passed through each of T bins.

    Bins are quantiles of the training rows, so a network sees thresholds as a tree does. Features [B, F] become
    [B, F · T + F]; the plain value, standardised by the training rows, stays beside its bins.
    """

    edges: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, num_features: int, bins: int) -> None:
        super().__init__()
        self.register_buffer("edges", torch.linspace(-2, 2, bins + 1).repeat(num_features, 1))
        self.register_buffer("shift", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(num_features))
        self.size = num_features * (bins + 1)

    @torch.no_grad()
    def fit(self, numeric: Tensor) -> None:
        """Set edges and scale from training rows [n, F]. Equal neighbouring quantiles are a step of no width."""
        numeric = numeric.float()
        self.shift.copy_(numeric.mean(0))
        self.scale.copy_(numeric.std(0, unbiased=False).clamp(min=LEAST_SPREAD))
        quantiles = torch.linspace(0, 1, self.edges.shape[1])
        # Column by column: torch.quantile takes no more than 16 million values at once.
        edges = torch.stack([torch.quantile(column, quantiles) for column in numeric.T])
        steps = torch.arange(edges.shape[1]) * 1e-4
        self.edges.copy_(torch.cummax(edges, 1).values + steps)

    def forward(self, numeric: Tensor, columns: list[int] | None = None) -> Tensor:
        """Encode all features [B, F], or some [B, C], which are those of `columns`."""
        edges, shift, scale = self.edges, self.shift, self.scale
        if columns is not None:
            edges, shift, scale = edges[columns], shift[columns], scale[columns]
        low, high = edges[:, :-1], edges[:, 1:]
        passed = (numeric[:, :, None] - low).div_(high - low).clamp_(0, 1)
        standard = ((numeric - shift) / scale).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
        return torch.cat([standard, passed.flatten(1)], 1)

    def places(self, columns: list[int]) -> Tensor:
        """Where the encodings of `columns` stand among those of all features: [C · T + C]."""
        column = torch.tensor(columns, dtype=torch.long, device=self.edges.device)
        features, bins = len(self.edges), self.edges.shape[1] - 1
        passed = features + column[:, None] * bins + torch.arange(bins, device=column.device)
        return torch.cat([column, passed.flatten()])
