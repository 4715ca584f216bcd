"""A sequence-classification cross-encoder as a judge: query and item are read together, K logits come out.

Fine-tuned here on gold levels, after a teacher's soft labels if there are some; any encoder may be the start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import datasets
import numpy as np
import pyarrow as pa
import torch
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from prectr.distill.config import TeacherArguments
from prectr.distill.losses import distillation_loss, gold_loss, within_query_loss
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement, Pair
from prectr.distill.teachers.dtype import reads_bf16
from prectr.distill.teachers.prompt import padded_length
from prectr.distill.training import (
    LikeLengthTrainer,
    fixed_lists,
    keep_best,
    level_metrics,
    logits_alone,
    rows_on_disk,
    training_arguments,
)
from prectr.shared.encoder.reading import check_length, pad_right
from prectr.shared.pretrained import open_model, open_tokenizer
from prectr.shared.seeds import set_seed
from prectr.shared.training.device import compute_device

LENGTH_STEP = 8


def encode_jointly(
    tokenizer: PreTrainedTokenizerBase, queries: Sequence[str], items: Sequence[str], max_length: int
) -> list[dict[str, list[int]]]:
    """Token ids of n pairs, `[CLS] query [SEP] item [SEP]` for a BERT; of a pair too long the longer text is cut."""
    tokens = tokenizer(list(queries), list(items), truncation="longest_first", max_length=max_length)
    return [dict(zip(tokens, row, strict=True)) for row in zip(*tokens.values(), strict=True)]


def joint_rows(
    tokenizer: PreTrainedTokenizerBase,
    pairs: Pairs,
    max_length: int,
    file: Path,
    judgement: Judgement | None = None,
    with_query: bool = False,
) -> datasets.Dataset:
    """Jointly encoded pairs with gold levels as `labels` and, if asked for, the number of their `query`; or with a
    teacher's `teacher_log_odds` and which of them are mere bounds (`censored`); in a `file` among the checkpoints.
    """
    query = np.unique(pairs.query, return_inverse=True)[1]

    def make(rows: np.ndarray) -> pa.Table:
        encoded = encode_jointly(tokenizer, pairs.query[rows].tolist(), pairs.item_text[rows].tolist(), max_length)
        columns = {name: pa.array([row[name] for row in encoded], pa.list_(pa.int32())) for name in encoded[0]}
        if judgement is None:
            numbers = {"query": query[rows]} if with_query else {}
            return pa.table({**columns, **numbers, "labels": pairs.level[rows]})
        columns["teacher_log_odds"] = fixed_lists(judgement.log_odds[rows])
        if judgement.censored is not None:
            columns["censored"] = fixed_lists(judgement.censored[rows])
        return pa.table(columns)

    return rows_on_disk(file, np.arange(len(pairs)), make)


class CrossEncoderTrainer(LikeLengthTrainer):
    """Cross-entropy on gold levels where a batch has them, and `order_weight` times the order of each query's; else KL
    from the teacher's distribution (T = 1).
    """

    order_weight = 0.0

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        names = ("labels", "teacher_log_odds", "censored", "query")
        labels, soft, censored, query = (inputs.pop(name, None) for name in names)
        output = model(**inputs)
        if labels is not None:
            loss = gold_loss(output.logits, labels)
            if query is not None:
                loss = loss + self.order_weight * within_query_loss(output.logits, labels, query)
        else:
            loss = distillation_loss(
                output.logits, soft, output.logits, None, temperature=1.0, hidden_state_weight=0.0, censored=censored
            )
        return (loss, output) if return_outputs else loss


class CrossEncoderSettings(TypedDict):
    """What `finetune_cross_encoder` is told of the settings."""

    max_length: int
    epochs: float
    learning_rate: float
    batch_size: int
    bf16: bool
    order_weight: float


def training_settings(arguments: TeacherArguments) -> CrossEncoderSettings:
    """`finetune_cross_encoder(…, **training_settings(arguments))`."""
    return {
        "max_length": arguments.cross_encoder_length,
        "epochs": arguments.cross_encoder_epochs,
        "learning_rate": arguments.cross_encoder_learning_rate,
        "batch_size": arguments.cross_encoder_batch_size,
        "bf16": reads_bf16(arguments),
        "order_weight": arguments.cross_encoder_order_weight,
    }


def finetune_cross_encoder(
    location: str,
    num_levels: int,
    pairs: Pairs,
    validation: Pairs,
    *,
    soft: tuple[Pairs, Judgement] | None = None,
    max_length: int = 64,
    epochs: float,
    soft_epochs: float = 1.0,
    learning_rate: float,
    batch_size: int,
    bf16: bool,
    order_weight: float = 0.0,
    seed: int,
    work: Path,
) -> None:
    """Trains a cross-encoder of K = `num_levels` outputs and saves it to `work`, an ordinary Hugging Face folder; of
    its epochs the one with the lowest loss on `validation` is kept.

    Resumes from `work/checkpoints`.

    Args:
        location: folder or hub id of an encoder. A head of another size, or none, is replaced by a new one.
        pairs, validation: pairs with gold levels.
        soft: pairs with a teacher's judgement, trained on before the gold ones; a pair it could not judge is left out.
        max_length: tokens of query and item together.
        learning_rate: peak, of both trainings.
        bf16: bfloat16 matrix products.
        order_weight: of `within_query_loss` beside cross-entropy; 0: none.
    """
    tokenizer = _open_tokenizer(location)

    def train(
        start: str, learnt: Pairs, epochs: float, folder: Path, judgement: Judgement | None = None
    ) -> PreTrainedModel:
        set_seed(seed)
        model = _open_model(start, tokenizer, max_length, num_levels)
        rows = folder / "checkpoints" / "rows"
        trainer = CrossEncoderTrainer(
            model=model,
            args=training_arguments(
                folder,
                epochs=epochs,
                batch_size=batch_size,
                bf16=bf16,
                seed=seed,
                per_device_eval_batch_size=64,
                learning_rate=learning_rate,
                weight_decay=0.01,
                optim="adamw_torch_fused",
                logging_strategy="epoch",
                **keep_best(),
            ),
            train_dataset=joint_rows(
                tokenizer, learnt, max_length, rows / "train.arrow", judgement, with_query=order_weight > 0
            ),
            eval_dataset=joint_rows(tokenizer, validation, max_length, rows / "validation.arrow"),
            data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=LENGTH_STEP),
            compute_metrics=level_metrics,
            preprocess_logits_for_metrics=logits_alone,
        )
        trainer.order_weight = order_weight
        trainer.train_or_resume("cross-encoder")
        return model

    if soft is not None:
        result = work / "checkpoints" / "soft" / "model"
        if not result.is_dir():
            judged = np.flatnonzero(np.isfinite(soft[1].log_odds).all(1))
            model = train(location, soft[0].take(judged), soft_epochs, result.parent, soft[1].take(judged))
            model.save_pretrained(result.with_suffix(".part"))
            result.with_suffix(".part").rename(result)
        location = str(result)
    train(location, pairs, epochs, work).save_pretrained(work)
    tokenizer.save_pretrained(work)


class CrossEncoderTeacher:
    """A sequence-classification cross-encoder behind the `Teacher` interface.

    With one output instead of K, `log_odds` is that bare score [n, 1]: `prectr.distill.teachers.calibration`
    turns it into K levels.

    Args:
        location: model folder or hub id.
        max_length: tokens of query and item together.
        batch_size: pairs per forward pass; every pass is filled up to it, so that few shapes occur.
        bf16: bfloat16 weights and arithmetic, else float32.
        identity: what `location` holds, for the fingerprint.
        order: the output of each level, lowest first; None: output k is level k.
    """

    def __init__(
        self,
        location: str,
        *,
        max_length: int = 64,
        batch_size: int = 32,
        bf16: bool = False,
        identity: str = "",
        order: Sequence[int] | None = None,
    ) -> None:
        self.tokenizer = _open_tokenizer(location)
        self.device = compute_device()
        model: Any = _open_model(location, self.tokenizer, max_length)
        self.model = model.eval().to(self.device, torch.bfloat16 if bf16 else torch.float32)
        self.max_length = max_length
        self.batch_size = batch_size
        self.order = None if order is None else list(order)
        ordered = () if self.order is None else (self.order,)
        self.fingerprint = hashlib.sha256(repr((identity or location, max_length, bf16, *ordered)).encode()).hexdigest()

    @property
    def num_outputs(self) -> int:
        return self.model.config.num_labels

    def tokens(self, pair: Pair) -> int:
        """What a pass spends on the pair, padding aside."""
        return len(encode_jointly(self.tokenizer, pair[:1], pair[1:], self.max_length)[0]["input_ids"])

    def padded_length(self, pair: Pair) -> int:
        return padded_length(self.tokens(pair))

    @torch.inference_mode()
    def score(self, pairs: Sequence[Pair]) -> Judgement:
        """Judges n pairs, in passes of `batch_size` of one padded length; the state is the last layer's at [CLS], or at
        the last token of a model that reads left to right.
        """
        log_odds = np.empty((len(pairs), self.num_outputs), np.float32)
        states = np.empty((len(pairs), self.model.config.hidden_size), np.float32)
        queries, items = [query for query, _ in pairs], [item for _, item in pairs]
        rows = encode_jointly(self.tokenizer, queries, items, self.max_length) if pairs else []
        lengths = np.array([padded_length(len(row["input_ids"])) for row in rows])
        for length in np.unique(lengths):
            of_length = np.flatnonzero(lengths == length)
            for start in range(0, len(of_length), self.batch_size):
                chosen = of_length[start : start + self.batch_size]
                filled = [rows[row] for row in np.resize(chosen, self.batch_size)]
                inputs = self.tokenizer.pad(
                    filled, padding="max_length", max_length=int(length), return_tensors="pt"
                ).to(self.device)
                output = self.model(**inputs, output_hidden_states=True)
                logits, hidden = output.logits.float(), output.hidden_states[-1]
                has_cls = [row["input_ids"][0] == self.tokenizer.cls_token_id for row in filled]
                at = [0 if has else len(row["input_ids"]) - 1 for has, row in zip(has_cls, filled, strict=True)]
                state = hidden[torch.arange(len(at)), at].float()
                if self.num_outputs > 1:
                    logits = logits.log_softmax(-1)
                log_odds[chosen] = logits[: len(chosen)].cpu().numpy()
                states[chosen] = state[: len(chosen)].cpu().numpy()
        return Judgement(log_odds if self.order is None else log_odds[:, self.order], states)


def _open_tokenizer(location: str) -> PreTrainedTokenizerBase:
    return pad_right(open_tokenizer(location))


def _open_model(
    location: str, tokenizer: PreTrainedTokenizerBase, max_length: int, num_levels: int | None = None
) -> PreTrainedModel:
    """The model as it is; with `num_levels`, one of so many outputs."""
    changes: dict[str, Any] = {} if num_levels is None else {"num_labels": num_levels, "ignore_mismatched_sizes": True}
    model = open_model(
        AutoModelForSequenceClassification,
        location,
        new_head=num_levels is not None,
        dtype=torch.float32,
        pad_token_id=tokenizer.pad_token_id,
        **changes,
    )
    if num_levels is not None:  # names of what the head meant before it learns other levels
        model.config.id2label = {level: f"level {level}" for level in range(num_levels)}
        model.config.label2id = {name: level for level, name in model.config.id2label.items()}
    check_length(f"cross-encoder {location}", model.config, max_length, "cross_encoder_length")
    return model
