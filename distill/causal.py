"""The teacher of the default run: a causal language model asked for a level word, one forward pass per pair."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from distill.prompt import Prompt, PromptEncoder, pad, padded_length
from distill.teacher import Judgement, Pair


class LabelTokenModel(nn.Module):
    """Logits of the K level tokens at each prompt's last position.

    The vocabulary's other logits are never computed: K rows of the output matrix are enough, which for a small model
    with a large vocabulary is most of the work.

    Args:
        causal_lm: any `AutoModelForCausalLM`, with or without a LoRA adapter.
        level_ids: the K tokens compared, lowest level first.
    """

    def __init__(self, causal_lm: PreTrainedModel | PeftModel, level_ids: Sequence[int]) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self.level_ids = list(level_ids)

    def forward(self, input_ids: Tensor, last: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """`input_ids` [B, L] right-padded, `last` [B], gold levels `labels` [B] -> `logits` [B, K], `state` [B, H],
        `loss`.
        """
        is_adapted = isinstance(self.causal_lm, PeftModel)
        inner = cast(Any, self.causal_lm).get_base_model() if is_adapted else cast(Any, self.causal_lm)
        hidden = inner.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
        state = hidden[torch.arange(len(last), device=last.device), last]
        output: Any = inner.get_output_embeddings()
        bias = None if output.bias is None else output.bias[self.level_ids]
        logits = nn.functional.linear(state, output.weight[self.level_ids], bias).float()
        if cap := getattr(inner.config, "final_logit_softcapping", None):
            logits = torch.tanh(logits / cap) * cap
        result = {"logits": logits, "state": state.float()}
        if labels is not None:
            result["loss"] = nn.functional.cross_entropy(logits, labels)
        return result


class CausalTeacher:
    """A causal language model behind the `Teacher` interface.

    Args:
        location: model folder or hub id.
        prompt: the question.
        query_tokens, item_tokens: tokens kept of each text.
        adapter: folder of a LoRA adapter, or None.
        bf16: bfloat16 weights and arithmetic, else float32.
        identity: what `location` holds, for the fingerprint.
        batch_size: pairs per forward pass; every pass is filled up to it, so that few shapes occur.
    """

    def __init__(
        self,
        location: str,
        prompt: Prompt,
        *,
        query_tokens: int,
        item_tokens: int,
        adapter: Path | None = None,
        bf16: bool = True,
        identity: str = "",
        batch_size: int = 32,
    ) -> None:
        dtype = torch.bfloat16 if bf16 else torch.float32
        self.tokenizer = AutoTokenizer.from_pretrained(location)
        causal_lm = AutoModelForCausalLM.from_pretrained(location, dtype=dtype, attn_implementation="sdpa")
        if adapter is not None and (adapter / "adapter_config.json").is_file():
            causal_lm = PeftModel.from_pretrained(causal_lm, adapter).merge_and_unload()
        self.prompts = PromptEncoder(prompt, self.tokenizer, query_tokens, item_tokens)
        self.model = LabelTokenModel(causal_lm, self.prompts.level_ids)
        self.batch_size = batch_size
        parts = (identity, prompt.fingerprint, query_tokens, item_tokens, bf16)
        self.fingerprint = hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def filler(self) -> int:
        return self.tokenizer.pad_token_id or 0

    def padded_length(self, pair: Pair) -> int:
        return padded_length(len(self.prompts(*pair)))

    @torch.inference_mode()
    def score(self, pairs: Sequence[Pair]) -> Judgement:
        """Judges n pairs, in passes of `batch_size` prompts of one padded length; the last pass is filled by
        repetition.
        """
        self.model.eval()
        prompts = [self.prompts(*pair) for pair in pairs]
        lengths = np.array([padded_length(len(prompt)) for prompt in prompts])
        num_levels = len(self.prompts.level_ids)
        log_odds = np.empty((len(pairs), num_levels), np.float32)
        states: np.ndarray | None = None
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            for start in range(0, len(rows), self.batch_size):
                chosen = rows[start : start + self.batch_size]
                filled = np.resize(chosen, self.batch_size)
                ids, last = pad([prompts[row] for row in filled], int(length), self.filler)
                output = self.model(torch.from_numpy(ids), torch.from_numpy(last))
                log_odds[chosen] = output["logits"].log_softmax(-1)[: len(chosen)].numpy()
                state = output["state"][: len(chosen)].numpy()
                if states is None:
                    states = np.empty((len(pairs), state.shape[1]), np.float32)
                states[chosen] = state
        return Judgement(log_odds, states)
