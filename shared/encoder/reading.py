"""How a tokenizer pads and how many tokens a model reads, alike for every family."""

from __future__ import annotations

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from prectr.shared.errors import PrectrError

COUNTED_FROM_PADDING = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet", "longformer"),
    *("data2vec-text", "ibert", "luke", "xmod", "lilt", "layoutlmv3", "markuplm"),
}
"""Families whose first token has the position behind the padding token's id, so that positions up to it are never read:
514 are 512 tokens.
"""


def pad_right(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer, from here on padding and cutting on the right whatever its family does, so that a text's tokens
    are where a mask's sum says; without a padding token it pads with another special one, if it can with one that its
    texts do not have.

    Raises:
        PrectrError: it has no special token at all.
    """
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    if tokenizer.pad_token is None:
        used = set(tokenizer("a", "b")["input_ids"])
        special = [tokenizer.eos_token, tokenizer.unk_token, tokenizer.bos_token]
        named = [token for token in special if token is not None]
        unused = [token for token in named if tokenizer.convert_tokens_to_ids(token) not in used]
        if not named:
            raise PrectrError(
                f"tokenizer {tokenizer.name_or_path}: it has no padding token and no other special one to pad with; "
                "give it one (tokenizer.pad_token = …) and save it."
            )
        tokenizer.pad_token = (unused or named)[0]
    return tokenizer


def tokens_read(config: PretrainedConfig) -> int | None:
    """The most tokens a model of `config` reads; None where it has no such limit."""
    most = getattr(config, "max_position_embeddings", None)
    if not isinstance(most, int) or most <= 0:
        return None
    if config.model_type in COUNTED_FROM_PADDING:
        most -= (1 if config.pad_token_id is None else config.pad_token_id) + 1
    return most


def check_length(name: str, config: PretrainedConfig, asked: int, settings: str) -> None:
    """Stops where a model does not read so many tokens.

    Raises:
        PrectrError: names the model, what it reads and the setting.
    """
    most = tokens_read(config)
    if most is not None and asked > most:
        raise PrectrError(f"{name}: reads {most} tokens, not {asked}; set {settings} to {most} or less.")
