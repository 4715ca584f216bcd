"""The teacher of the default run: a causal language model asked for a level word, one forward pass per pair."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, Cache, PreTrainedModel

from prectr.distill.teachers.base import Judgement, Pair
from prectr.distill.teachers.level_words import LevelWords
from prectr.distill.teachers.packing import ROW_LENGTH, Pass, packed_passes, padded_passes
from prectr.distill.teachers.prompt import Prompt, PromptEncoder, padded_length
from prectr.shared.encoder.reading import tokens_read
from prectr.shared.errors import PrectrError
from prectr.shared.pretrained import open_config, open_model, open_tokenizer, read_tensors
from prectr.shared.run.console import console
from prectr.shared.training.device import compute_device

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")

SHARED_TOKENS = 8
"""A prompt's constant beginning is run once and shared if it is at least this long; for fewer tokens it is not worth
the handling [O].
"""

USUAL_LENGTH = 32
"""Tokens of a prompt, about; it fixes only how many rows a packed pass has."""


def open_causal_lm(location: str, dtype: str, device_map: str = "none", four_bit: bool = False) -> PreTrainedModel:
    """Opens a causal language model.

    Args:
        location: model folder or hub id.
        dtype: bfloat16, float16 or float32.
        device_map: `none` (the GPU if there is one, else the CPU), a strategy of accelerate (`DEVICE_MAPS`), or a
            device such as `cuda:1`.
        four_bit: weights in 4 bits (NF4), arithmetic in `dtype`.

    Raises:
        PrectrError: a device that is not there, or 4 bits without bitsandbytes or a GPU.
    """
    has_gpu = compute_device().type == "cuda"
    if four_bit and find_spec("bitsandbytes") is None:
        raise PrectrError(
            "teacher_4bit: bitsandbytes is not installed; run `pip install bitsandbytes`, or set it false."
        )
    if four_bit and not has_gpu:
        raise PrectrError("teacher_4bit: 4-bit weights need a GPU, and torch sees none here; set it false.")
    place: Any = device_map
    if device_map == "none":
        place = {"": 0} if has_gpu else None
    elif device_map not in DEVICE_MAPS:
        try:
            device = torch.device(device_map)
        except RuntimeError:
            listed = ", ".join(("none", *DEVICE_MAPS))
            raise PrectrError(f"teacher_device_map: {device_map!r} is none of {listed}, nor a device.") from None
        if device.type == "cuda" and not (has_gpu and (device.index or 0) < torch.cuda.device_count()):
            raise PrectrError(f"teacher_device_map: torch sees no {device_map} here; set it to none.")
    compute = getattr(torch, dtype)
    quantization = None
    if four_bit:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute, bnb_4bit_use_double_quant=True
        )
    return open_model(
        AutoModelForCausalLM,
        location,
        dtype=compute,
        attn_implementation="sdpa",
        device_map=place,
        quantization_config=quantization,
    )


def load_adapter(causal_lm: PreTrainedModel, adapter: Path, location: str) -> PeftModel:
    """The model with a LoRA adapter on it. One that was trained on a model of another name is reported, and used if it
    fits.

    Raises:
        PrectrError: it does not fit; or it changes word embeddings that are the output matrix too.
    """
    trained_on = PeftConfig.from_pretrained(str(adapter)).base_model_name_or_path or "a model it does not name"
    if Path(trained_on).name != Path(location).name:
        console.print(
            f"adapter {adapter}: trained on {trained_on}, put on {location}; its judgements may be worthless.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    try:
        found = set(read_tensors(adapter / "adapter_model.safetensors"))
        adapted = PeftModel.from_pretrained(causal_lm, str(adapter))
        if off := found ^ set(get_peft_model_state_dict(adapted)):
            raise ValueError(f"tensor {min(off)!r} {'is of no part of it' if min(off) in found else 'is missing'}")
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PrectrError(f"adapter {adapter} does not fit {location} ({reason}); name the model it is of.") from error
    inner: Any = adapted.get_base_model()
    ends = {"word embeddings": inner.get_input_embeddings(), "output matrix": inner.get_output_embeddings()}
    changed = " and ".join(name for name, end in ends.items() if type(end).__module__.startswith("peft."))
    if changed and inner.config.get_text_config().tie_word_embeddings:
        # Merged it would change both; apart no ordinary folder can hold them.
        raise PrectrError(
            f"adapter {adapter}: it changes the {changed}, but word embeddings and output matrix of {location} are "
            "one; train it without them (target_modules: all-linear)."
        )
    return adapted


class LabelTokenModel(nn.Module):
    """Logits of the level words' T tokens at each prompt's last position.

    Where every level is one token the vocabulary's other logits are never computed: K rows of the output matrix are
    enough, which for a small model with a large vocabulary is most of the work.

    Args:
        causal_lm: any `AutoModelForCausalLM`, with or without a LoRA adapter.
        levels: the words compared.
    """

    def __init__(self, causal_lm: PreTrainedModel | PeftModel, levels: LevelWords) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self.levels = levels

    @property
    def inner(self) -> Any:
        is_adapted = isinstance(self.causal_lm, PeftModel)
        return cast(Any, self.causal_lm).get_base_model() if is_adapted else self.causal_lm

    @property
    def device(self) -> torch.device:
        """Where token ids go."""
        return self.inner.get_input_embeddings().weight.device

    def forward(
        self,
        input_ids: Tensor,
        last: Tensor,
        labels: Tensor | None = None,
        row: Tensor | None = None,
        prefix: Cache | None = None,
        **layout: Tensor,
    ) -> dict[str, Tensor]:
        """`input_ids` [B, L] right-padded, `last` [B] -> `asked` [B, T], see `LevelWords.log_odds`, and `state` [B, H].

        With gold levels `labels` [B / M], rows are the M nodes of one pair after the other, and there are `logits`
        [B / M, K] and `loss` too.

        Args:
            row: [n] the rows of n prompts that end at `last` [n], where a row holds several; results then have n rows.
            prefix: keys and values of what stands in front of every row, see `run_prefix`; is extended in place.
            layout: attention_mask and position_ids, if not plainly causal.
        """
        inner = self.inner
        hidden = inner.base_model(
            input_ids=input_ids, past_key_values=prefix, use_cache=prefix is not None, **layout
        ).last_hidden_state
        rows = torch.arange(len(last)) if row is None else row
        state = hidden[rows.to(hidden.device), last.to(hidden.device)]
        asked = self._asked(state)
        result = {"asked": asked, "state": state.float()}
        if labels is not None:
            logits = self.levels.log_odds(asked.view(len(labels), -1, asked.shape[1]))
            result = {"logits": logits, "loss": nn.functional.cross_entropy(logits, labels.to(logits.device))} | result
        return result

    def run_prefix(self, tokens: Sequence[int]) -> Cache | None:
        """Keys and values of `tokens`, one row; None if the model keeps none."""
        ids = torch.tensor([list(tokens)], device=self.device)
        cache = self.inner.base_model(input_ids=ids, use_cache=True).get("past_key_values")
        return cache if isinstance(cache, Cache) else None

    def _asked(self, state: Tensor) -> Tensor:
        """[B, H] -> [B, T]: logits of the tokens of the words, or their log-probabilities where a word goes on."""
        if self.levels.is_plain:
            return self._logits(state, self.levels.tokens).float()
        return self._logits(state).float().log_softmax(-1)[:, self.levels.tokens]

    def _logits(self, state: Tensor, tokens: Sequence[int] | None = None) -> Tensor:
        """[B, H] -> logits [B, T] of some tokens, or of all, as the model's own head would give them."""
        inner, config = self.inner, self.inner.config
        output, chosen = inner.get_output_embeddings(), slice(None) if tokens is None else list(tokens)
        is_matrix = isinstance(output, nn.Linear) and not output.weight.is_meta and output.weight.is_floating_point()
        if not is_matrix:
            # Offloaded or quantised weights exist only while their module runs; an adapter adds to them.
            logits = output(state)[:, chosen]
        else:
            bias = None if output.bias is None else output.bias[chosen]
            weight = output.weight[chosen]
            logits = nn.functional.linear(state.to(weight.device), weight, bias)
        if scale := getattr(config, "logit_scale", None):  # Cohere
            logits = logits * scale
        if scale := getattr(config, "logits_scaling", None):  # Granite
            logits = logits / scale
        if cap := getattr(config, "final_logit_softcapping", None):  # Gemma
            logits = torch.tanh(logits.float() / cap) * cap
        return logits


class CausalTeacher:
    """A causal language model behind the `Teacher` interface.

    Nothing is computed twice that prompts have in common. If every prompt begins with the same `SHARED_TOKENS` or more
    (few-shot examples), they are run once per call of `score`, and every pass starts from their keys and values. And
    prompts are packed, with each query once for its items (`packing.py`); so give `score` pairs of one query together.
    Level words of several tokens are asked for in the same pass, each prompt once for all of them. A model that does
    not give the same states when packed (it is tried out when opened) gets padded passes.

    Args:
        location: model folder or hub id.
        prompt: the question.
        query_tokens, item_tokens: tokens kept of each text.
        adapter: folder of a LoRA adapter, or None.
        dtype, device_map, four_bit: see `open_causal_lm`.
        identity: what `location` and `adapter` hold, for the fingerprint.
        batch_size: prompts per padded pass; a packed one has as many tokens as so many prompts of `USUAL_LENGTH`.

    Raises:
        PrectrError: see `open_causal_lm` and `load_adapter`; or the model does not read prompts of such a length; or
            its logits are not what its hidden states and output matrix give.
    """

    def __init__(
        self,
        location: str,
        prompt: Prompt,
        *,
        query_tokens: int,
        item_tokens: int,
        adapter: Path | None = None,
        dtype: str = "bfloat16",
        device_map: str = "none",
        four_bit: bool = False,
        identity: str = "",
        batch_size: int = 32,
    ) -> None:
        self.tokenizer = open_tokenizer(location)
        self.prompts = PromptEncoder(prompt, self.tokenizer, query_tokens, item_tokens)
        most = tokens_read(open_config(location).get_text_config())
        if most is not None and self._most_tokens > most:
            raise PrectrError(
                f"teacher {location}: reads {most} tokens, but a prompt may have {self._most_tokens}; "
                "shorten the prompt, or set teacher_query_tokens and teacher_item_tokens lower."
            )
        causal_lm: Any = open_causal_lm(location, dtype, device_map, four_bit)
        if adapter is not None and (adapter / "adapter_config.json").is_file():
            causal_lm = load_adapter(causal_lm, adapter, location)
            # Merged into 4-bit weights an adapter would be rounded away.
            causal_lm = causal_lm if four_bit else causal_lm.merge_and_unload()
        self.location, self.four_bit, self.dtype = location, four_bit, getattr(torch, dtype)
        self.model = LabelTokenModel(causal_lm, self.prompts.levels)
        self.padded_batch, self.rows_per_pass = batch_size, max(1, batch_size * USUAL_LENGTH // ROW_LENGTH)
        parts = (identity, prompt.fingerprint, query_tokens, item_tokens, dtype, four_bit, *self.prompts.habits)
        self.fingerprint = hashlib.sha256(repr(parts).encode()).hexdigest()
        with torch.inference_mode():
            self.model.eval()
            self._check_head()
            before = self.prompts.before
            shares = len(before) >= SHARED_TOKENS and self.model.run_prefix(before) is not None
            self.shared = before if shares else []
            self.packs = self._can_pack()

    @property
    def filler(self) -> int:
        return self.tokenizer.pad_token_id or 0

    @property
    def batch_size(self) -> int:
        """What the prompts of a pass are filled up to."""
        return 1 if self.packs else self.padded_batch

    def tokens(self, pair: Pair) -> int:
        """Of its prompt and the words behind it, without what all prompts share."""
        return len(self.prompts(*pair)) - len(self.shared) + self._behind

    def padded_length(self, pair: Pair) -> int:
        """Packed pairs of all lengths are scored together: the length of a row, unless the prompt is longer."""
        length = padded_length(self.tokens(pair))
        return max(ROW_LENGTH, length) if self.packs else length

    def workload(self, pairs: Sequence[Pair]) -> tuple[int, int]:
        """Tokens that `score(pairs)` computes, without and with padding."""
        passes = list(self._passes(pairs))
        shared = len(self.shared)
        return sum(one.tokens for one in passes) + shared, sum(one.ids.size for one in passes) + shared

    @torch.inference_mode()
    def score(self, pairs: Sequence[Pair]) -> Judgement:
        """Judges n pairs."""
        self.model.eval()
        prefix = self.model.run_prefix(self.shared) if self.shared else None
        nodes = len(self.prompts.levels.nodes)
        asked = np.empty((len(pairs) * nodes, len(self.prompts.levels.tokens)), np.float32)
        states: np.ndarray | None = None
        for one in self._passes(pairs):
            output = self._run(one, prefix)
            asked[one.prompts] = output["asked"].cpu().numpy()
            state = output["state"].cpu().numpy()
            if states is None:
                states = np.empty((len(asked), state.shape[1]), np.float32)
            states[one.prompts] = state
        log_odds = self.prompts.levels.log_odds(torch.from_numpy(asked).view(len(pairs), nodes, -1))
        return Judgement(log_odds.numpy(), None if states is None else states[::nodes])

    def _passes(self, pairs: Sequence[Pair]) -> Iterator[Pass]:
        """Of n pairs the n · M prompts that end in each node."""
        skip, nodes = len(self.shared), self.prompts.levels.nodes
        if not self.packs:
            prompts = [self.prompts(*pair)[skip:] for pair in pairs]
            return padded_passes([[*each, *node] for each in prompts for node in nodes], self.padded_batch, self.filler)
        halves = [self.prompts.split(*pair) for pair in pairs]
        if len(nodes) > 1:  # what a pair's prompts have in common is more than what a query's have
            halves = [([*head, *tail[:-1]], tail[-1:]) for head, tail in halves]
        split = [(head[skip:], [*tail, *node]) for head, tail in halves for node in nodes]
        return packed_passes(split, self.rows_per_pass, self.filler)

    def _run(self, one: Pass, prefix: Cache | None) -> dict[str, Tensor]:
        device = self.model.device
        layout = {}
        if one.visible is not None and one.position is not None:
            visible = np.pad(one.visible, ((0, 0), (0, 0), (len(self.shared), 0)), constant_values=True)
            hidden = torch.from_numpy(~visible[:, None]).to(device)
            mask = torch.zeros(hidden.shape, dtype=self.dtype, device=device)
            layout["attention_mask"] = mask.masked_fill_(hidden, torch.finfo(self.dtype).min)
            layout["position_ids"] = torch.from_numpy(one.position + len(self.shared)).to(device)
        if prefix is not None:
            # A pass writes its own keys and values behind the prefix's.
            prefix = copy.deepcopy(prefix)
            prefix.reorder_cache(cast(torch.LongTensor, torch.zeros(len(one.ids), dtype=torch.long, device=device)))
        ids, row, last = (torch.from_numpy(part).to(device) for part in (one.ids, one.row, one.last))
        return self.model(ids, last, row=row, prefix=prefix, **layout)

    def _check_head(self) -> None:
        """Some families do something of their own between output matrix and logits."""
        prompt = self.prompts("", "")
        ids = torch.tensor([prompt], device=self.model.device)
        whole = self.model.inner(input_ids=ids, use_cache=False).logits[0, -1].float().cpu()
        whole = (whole if self.prompts.levels.is_plain else whole.log_softmax(-1))[self.prompts.levels.tokens]
        found = self.model(ids, torch.tensor([len(prompt) - 1]))["asked"][0].cpu()
        if not torch.allclose(whole, found, rtol=0.05, atol=0.05):
            raise PrectrError(
                f"teacher {self.location}: {type(self.model.inner).__name__} does not make its logits from hidden "
                f"states and output matrix alone ({whole.tolist()} and {found.tolist()}); name another teacher."
            )

    def _can_pack(self) -> bool:
        """Whether prompts in one row have the states they have alone: not with recurrent layers, biases on the distance
        between tokens, or a family's own mask.
        """
        window = getattr(self.model.inner.config, "sliding_window", None)
        longest = padded_length(self._most_tokens - len(self.shared))
        beginning, ending = self.prompts.split("", "")
        if not ending or (window and len(self.shared) + max(ROW_LENGTH, longest) > window):
            return False
        first, *_, last = self.prompts.prompt.words
        probes = [(first, last), (first, f"{last} {first}"), (last, first)]
        states = []
        for self.packs in (False, True):
            try:
                states.append(torch.from_numpy(cast(np.ndarray, self.score(probes).state)))
            except (TypeError, ValueError, RuntimeError):
                if not self.packs:
                    raise
                return False
        alone, packed = states
        return bool((packed - alone).norm() <= max(1e-4, 8 * torch.finfo(self.dtype).eps) * alone.norm())

    @property
    def _most_tokens(self) -> int:
        """Of a prompt with the longest texts and what stands behind it."""
        parts = self.prompts
        fixed = len(parts.before) + len(parts.between) + len(parts.after)
        return fixed + parts.query_tokens + parts.item_tokens + self._behind

    @property
    def _behind(self) -> int:
        """Tokens of level words behind a prompt."""
        return sum(map(len, self.prompts.levels.nodes))
