"""The ranker: relevance and click-through rate in one network.

    query, item text ──► encoder (unfrozen) ──► r, π = P(level | q, i)                       relevance-level module
                                        └─────► v = P · pooled(text),  h = (r, v_q ⊙ v_i)    what texts are
    numbers, ids     ──► encodings, embeddings ─┐
    behaviour slices ──► soft counts by v ──────┼─► a_k = logit P(click | level = k, x)      base CTR module, which
          │                                     │                                            reads h, v_q, v_i too
          └─► target attention (events carry v) ┴─► preference ──► τ(x),  a_k ← a_k + τ      signed incentive
    log p     = logsumexp_k( log σ( a_k) + log π_k )                                         conditional-probability
    log (1−p) = logsumexp_k( log σ(−a_k) + log π_k )      s = log p − log(1−p)               fusion [P]

With `fusion: sigmoid` the base module reads π beside its other inputs and gives one logit a; then s = a + τ. [O]
A part that is switched off is absent: it has no parameters. Shapes: B impressions of G pages, D distinct (query, item
text) pairs, K levels, H events in a history, S the width of the relevance state r, d that of a text vector v.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from prectr.rank.config import ModelArguments
from prectr.rank.features.groups import (
    SLICES,
    is_exact_match,
    is_item_text,
    is_of_slice,
    is_soft_count,
    is_stage_one,
)
from prectr.rank.inputs.batch import Batch, Kind
from prectr.rank.inputs.events import EVENT_SCALARS, Past
from prectr.rank.model import soft_counts
from prectr.rank.model.ensemble import EnsembleBase
from prectr.rank.model.fusion import fuse
from prectr.rank.model.incentive import SignedIncentive
from prectr.rank.model.numeric_encoding import NumericEncoding
from prectr.rank.model.preference import Memory, PreferenceMix, Seats, TargetAttention
from prectr.rank.model.text_projection import TextProjection
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError


@dataclass(kw_only=True)
class RankerConfig(ModelArguments):
    """Everything needed to build the network again, saved beside its weights as config.json: the settings of the
    network, and what the data decide."""

    numeric_names: list[str]
    categorical_names: list[str]
    # Entries of each vocabulary, out-of-vocabulary included.
    cardinalities: list[int] = field(metadata={"range": (1, 2 * 10**8 + 1)})
    item_columns: list[int]  # which categoricals describe the item: past events carry these too
    num_levels: int = field(metadata={"range": (1, 1000)})
    num_event_types: int = 2  # of past events: a search, a purchase, and what else the log names

    @property
    def has_preference(self) -> bool:
        return bool(self.preferences)

    @property
    def preferences(self) -> list[Kind]:
        """Whose past is read: of `user` and `cross`, what is switched on."""
        on: dict[Kind, bool] = {"user": self.user_preference, "cross": self.cross_preference}
        return [kind for kind, is_read in on.items() if is_read]

    @property
    def counts(self) -> list[Kind]:
        """Whose past is counted softly by the network's own vectors."""
        return self.preferences if self.soft_counts and self.text_vectors else []

    @property
    def numeric_columns(self) -> list[int]:
        """Which numbers the base module reads. What the item's own text says it reads off the text, and with vectors of
        its own it counts by them."""
        switches = (
            (is_exact_match, self.exact_match),
            (is_soft_count, self.soft_counts and not self.text_vectors),
            (is_stage_one, self.stage_one_features),
            (is_item_text, False),
        )
        left_out: list[Callable[[str], bool]] = [rule for rule, on in switches if not on]
        unread = [kind for kind in SLICES if kind not in self.preferences]
        left_out += [partial(is_of_slice, whose=kind) for kind in unread]
        return [n for n, name in enumerate(self.numeric_names) if not any(rule(name) for rule in left_out)]


class TextVectors(NamedTuple):
    """Text vectors v = P · pooled(text) of a batch."""

    query: Tensor  # [B, d]
    item: Tensor  # [B, d]
    past: dict[Kind, Tensor]  # [G, H, d]


class Context(NamedTuple):
    """What is the same of a batch under any pair state: computed once for its impressions and their hard negatives."""

    item: Tensor  # [B, item columns · embedding_size + 2 · d], embeddings, v_q and v_i: what the attention looks for
    counts: dict[Kind, Tensor]  # [B, soft_counts.SIZE]
    base: Tensor  # [B, hidden_sizes[0]], what the base module's first layer makes of numbers, embeddings, v_q and v_i
    memories: dict[Kind, Memory]  # `user` and `cross`, what is switched on


class RankerModel(nn.Module):
    """PRECTR-V2's second stage around an unfrozen level encoder."""

    def __init__(self, config: RankerConfig, encoder: LevelEncoder) -> None:
        super().__init__()
        if encoder.num_levels != config.num_levels:
            raise PrectrError(
                f"the encoder tells {encoder.num_levels} relevance levels apart, the data has {config.num_levels}: "
                "distil an encoder on this data set's levels."
            )
        self.config = config
        self.encoder = encoder
        self.numeric_columns = config.numeric_columns
        text = config.text_size if config.text_vectors else 0
        if config.text_vectors:
            self.text_projection = TextProjection(encoder.text_encoder.config.hidden_size, text)
        numbers = len(self.numeric_columns) + len(config.counts) * soft_counts.SIZE
        self.numeric_encoding = NumericEncoding(numbers, config.numeric_bins)
        self.embeddings = nn.ModuleList(nn.Embedding(n, config.embedding_size) for n in config.cardinalities)
        for table in self.embeddings:
            nn.init.normal_(table.weight, std=0.05)  # type: ignore[arg-type]

        levels, width = config.num_levels, config.embedding_size
        item_size = len(config.item_columns) * width
        event_size = item_size + text + levels + EVENT_SCALARS + config.num_event_types - 1
        state_size = encoder.state_size + text
        target_size = state_size + levels + item_size + 2 * text
        attention = (target_size, event_size, config.attention_size, config.attention_heads)
        if config.user_preference:
            self.user_attention = TargetAttention(*attention)
        if config.cross_preference:
            self.cross_attention = TargetAttention(*attention)
            self.depth_embedding = nn.Embedding(3, config.attention_size)
        if config.user_preference and config.cross_preference:
            self.preference_mix = PreferenceMix()
        preference_size = config.attention_size if config.has_preference else 0
        if config.incentive != "none":
            self.incentive = SignedIncentive(preference_size + target_size, config.attention_size, config.incentive_max)

        base_size = self.numeric_encoding.size + len(config.cardinalities) * width + 2 * text + state_size
        fused = config.fusion == "conditional"
        sizes = [base_size + preference_size + (0 if fused else levels), *config.hidden_sizes]
        self.base = EnsembleBase(sizes, levels if fused else 1, config.members, config.dropout)

    def train(self, mode: bool = True) -> "RankerModel":
        """Training mode for all but the encoder: its dropout would be a tenth of a step's work, and one pass over the
        impressions is no danger to it [O]."""
        super().train(mode)
        self.encoder.eval()
        return self

    @torch.no_grad()
    def start_from(self, batches: Iterable[Batch], ctr: float, item_vectors: Tensor | None = None) -> None:
        """Fit what is read off the training rows: the scale and bins of the numbers and the mean click-through rate.

        Args:
            batches: a sample of the training rows. ctr: mean click-through rate, above 0 and below 1.
            item_vectors: [n, V] pooled vectors of all item texts, whose principal axes P starts from.
        """
        if self.config.text_vectors and item_vectors is not None:
            self.text_projection.fit(item_vectors)
        self.numeric_encoding.fit(torch.cat([self._numbers_of(batch) for batch in batches]))
        bias = self.base.head_bias
        heads = bias.shape[1]
        rise = torch.arange(heads) - (heads - 1) / 2
        base = torch.logit(torch.tensor(ctr))
        # An ordinal head reads all but the first entry as a step between levels, before softplus.
        bias.copy_((base + 0.5 * rise).expand_as(bias))
        if self.config.ordinal_head:
            bias[:, 1:] = -0.5

    @torch.no_grad()
    def shift_clicks(self, by: float) -> None:
        """Add `by` to the click logit of every level."""
        # Of an ordinal head the first entry carries all levels.
        levels = slice(1) if self.config.ordinal_head else slice(None)
        self.base.head_bias[:, levels] += by

    def relevance_states(self, batch: Batch) -> Tensor:
        """The relevance part r [D, S] of the batch's distinct pairs' states.

        A batch of a pass in which the text encoder is frozen brings the level head's features [D, F] instead of tokens.
        """
        if "pair_features" in batch:
            return self.encoder.head.state_of(batch["pair_features"])
        rows = batch["pair_query"], batch["pair_item"]
        places, features = zip(
            *self.encoder.features_of_rows(batch["query_tokens"], batch["item_tokens"], *rows), strict=True
        )
        return self.encoder.head.state_of(torch.cat(features)[torch.argsort(torch.cat(places))])

    def text_vectors(self, batch: Batch) -> TextVectors | None:
        """v of the batch's queries, item texts and past events; None: they are switched off."""
        if not self.config.text_vectors:
            return None
        query, item = (self.text_projection(batch[table]) for table in ("query_table", "item_table"))
        past = {kind: item[batch[kind]["text"]] for kind in self.config.preferences}
        return TextVectors(query[batch["query_row"]], item[batch["item_row"]], past)

    def state(self, relevance: Tensor, vectors: TextVectors | None) -> Tensor:
        """h = (r, v_q ⊙ v_i) of impressions, from r [B, S]: what of their text depends on query and item together."""
        return relevance if vectors is None else torch.cat([relevance, vectors.query * vectors.item], -1)

    def relevance(self, state: Tensor) -> Tensor:
        """r [B, S] within h."""
        return state[:, : self.encoder.state_size]

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score the impressions of a batch with its texts; see `score` for what comes back."""
        relevance, vectors = self.relevance_states(batch), self.text_vectors(batch)
        state, context = self.state(relevance[batch["pair"]], vectors), self.context(batch, vectors)
        return {
            "relevance_states": relevance,
            "state": state,
            "context": context,
            **self.score(state, batch, context),
        }

    def context(self, batch: Batch, vectors: TextVectors | None, counts: dict[Kind, Tensor] | None = None) -> Context:
        """What `score` needs of a batch beside its pair states; `counts` stand in place of the batch's own."""
        embedded = [table(batch["categorical"][:, c]) for c, table in enumerate(self.embeddings)]
        text = [] if vectors is None else [vectors.query, vectors.item]
        seats = Seats.of(batch["page"], len(batch["cross_depth"]))
        if counts is None:
            counts = self._counts(batch, vectors, seats)
        known = torch.cat([self.numeric_encoding(self.numbers(batch["numeric"], counts)), *embedded, *text], -1)
        memories = {
            kind: getattr(self, f"{kind}_attention").remember(
                self._events(batch[kind], None if vectors is None else vectors.past[kind]),
                batch[kind]["mask"],
                batch["page"],
                seats,
            )
            for kind in self.config.preferences
        }
        item = torch.cat([*(embedded[c] for c in self.config.item_columns), *text], -1)
        base = functional.linear(known, self.first_layer.weight[:, : known.shape[1]])
        return Context(item, counts, base, memories)

    def _counts(self, batch: Batch, vectors: TextVectors | None, seats: Seats) -> dict[Kind, Tensor]:
        """Soft counts of the network's own vectors, by whose past it is."""
        if vectors is None:
            return {}
        return {
            kind: soft_counts.soft_counts(vectors.item, vectors.past[kind], batch[kind], seats)
            for kind in self.config.counts
        }

    def _numbers_of(self, batch: Batch) -> Tensor:
        seats = Seats.of(batch["page"], len(batch["cross_depth"]))
        return self.numbers(batch["numeric"], self._counts(batch, self.text_vectors(batch), seats))

    def score(
        self,
        state: Tensor,
        batch: Batch,
        context: Context,
        attention_level: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Score impressions from their text states.

        Args:
            state: [B, S + d], h. context: of the batch. attention_level: [B, K], the level distribution the attention
                looks with; π itself unless the debias loss has rebuilt the label.

        Returns:
            level_logits [B, K] · click_logits [B, K] (τ included when it stands inside the fusion; without fusion the
            same for every level) · tau [B] · score [B], the final logit · member_scores [B, members], as score, of each
            member of the base module alone: what they are trained on.
        """
        level_logits = self.encoder.level_logits(self.relevance(state))
        read_level = level_logits if self.config.click_trains_level else level_logits.detach()
        level_prob = torch.softmax(level_logits.float(), -1) if attention_level is None else attention_level
        target = torch.cat([state, level_prob.to(state.dtype), context.item.to(state.dtype)], -1)
        preference = self._preference(target, batch, context)
        inputs = [state, *preference]
        if self.config.fusion == "sigmoid":
            inputs.append(torch.softmax(read_level.float(), -1).to(state.dtype))
        member_logits = self._click_logits(self._base(context, torch.cat(inputs, -1)))
        tau = torch.zeros(state.shape[0], device=state.device)
        if self.config.incentive != "none":
            tau = self.incentive(torch.cat([*preference, target], -1))
        if self.config.incentive == "inside":
            member_logits = member_logits + tau[:, None, None]
        click_logits = member_logits.mean(1)
        if self.config.fusion == "sigmoid":
            score, member_scores = click_logits.squeeze(-1), member_logits.squeeze(-1)
            click_logits = click_logits.expand(-1, self.config.num_levels)
        else:
            score = fuse(click_logits, read_level)
            alone = self.config.members == 1
            member_scores = score[:, None] if alone else fuse(member_logits, read_level[:, None])
        if self.config.incentive == "outside":
            score, member_scores = score + tau, member_scores + tau[:, None]
        return {
            "level_logits": level_logits,
            "click_logits": click_logits,
            "tau": tau,
            "score": score,
            "member_scores": member_scores,
        }

    @property
    def first_layer(self) -> nn.Linear:
        return self.base.first

    def _base(self, context: Context, inputs: Tensor) -> Tensor:
        """The base module over the context's part of its first layer, which is done, and the other inputs [B, ·]."""
        first = self.first_layer
        own = functional.linear(inputs, first.weight[:, -inputs.shape[1] :], first.bias)
        logits: Tensor = self.base(context.base + own)
        return logits

    def numbers(self, numeric: Tensor, counts: Mapping[Kind, Tensor]) -> Tensor:
        """The features that the base module reads, and the soft counts [B, numbers]."""
        return torch.cat([numeric[:, self.numeric_columns], *counts.values()], 1)

    def _click_logits(self, base: Tensor) -> Tensor:
        raw = base.float()
        if not self.config.ordinal_head:
            return raw
        steps = functional.softplus(raw[..., 1:])
        return torch.cat([raw[..., :1], raw[..., :1] + steps.cumsum(-1)], -1)

    def _preference(self, target: Tensor, batch: Batch, context: Context) -> list[Tensor]:
        """The preference vector r [B, attention_size] as a list of one, or of none when both kinds are off."""
        found = {kind: getattr(self, f"{kind}_attention")(target, memory) for kind, memory in context.memories.items()}
        page = batch["page"]
        if "cross" in found:
            found["cross"] = found["cross"] + self.depth_embedding(batch["cross_depth"])[page]
        if len(found) == 2:
            counts = (batch[kind]["mask"].sum(1)[page] for kind in found)
            return [self.preference_mix(*found.values(), *counts)]
        return list(found.values())

    def _events(self, past: Past, vectors: Tensor | None) -> Tensor:
        """Past events [G, H, event_size] from stored columns only: no text is encoded for history."""
        codes = past["categorical"]
        item = [self.embeddings[c](codes[:, :, j]) for j, c in enumerate(self.config.item_columns)]
        text = [] if vectors is None else [vectors]
        return torch.cat([*item, *text, past["level_prob"], past["scalars"]], -1)
