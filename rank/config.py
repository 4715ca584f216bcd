"""The settings of stage two. Every field can stand in a YAML profile and be given as a flag; a typo is an error.

What several verbs need is a dataclass of its own, which those of `run` extend: a verb shows what it reads, no more. The
settings of the verbs that serve: rank/serving/config.py. A number's range stands in its field.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from prectr.shared.engine.choice import HELP as ENGINES
from prectr.shared.engine.choice import EngineName
from prectr.shared.errors import PrectrError
from prectr.shared.run.names import check_name
from prectr.shared.run.ranges import COUNT, SEEDS, Ranged

CONFIGS = Path(__file__).parent / "configs"
MAX_VOCABULARY, HASH_BUCKETS = 500_000, 50_000

PAST, WIDTH, WEIGHT, LOGITS = (0, 10_000), (1, 10_000), (0, 1000), (0, 100)
"""Ranges of past events per impression, of a layer's width, of a loss's weight, and of distances between logits."""

SHARE, EPOCHS, RATE, BATCH = (0, 1), (0, 1000), (0, 10), (1, 1_000_000)
"""Ranges of shares, of passes over the log, of learning rates, and of pages in a batch."""


@dataclass
class WhereArguments:
    """Which data set, and where its folders lie."""

    name: str = field(
        default="journey", metadata={"help": "data set: artifacts/<name>/ holds its tables, encoder and results"}
    )
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated, or its URI"})

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass
class JudgedArguments(Ranged, WhereArguments):
    """Which data set, where its folders lie, and what is judged."""

    seed: int = field(default=0, metadata={"help": "random seed of stage two", "range": SEEDS})
    label: str = field(
        default="clicked", metadata={"help": "0/1 column of impressions that is predicted: clicked, or a label_..."}
    )


@dataclass
class RunArguments(JudgedArguments):
    """Which data set, where its folders lie, and what it starts from."""

    encoder: str | None = field(
        default=None,
        metadata={"help": "another published encoder, a folder or hub id; default: artifacts/<name>/encoder"},
    )
    warm_start: str | None = field(
        default=None, metadata={"help": "warm start: the folder of a trained ranker to go on from"}
    )
    report_to: list[str] = field(
        default_factory=lambda: ["tensorboard"],
        metadata={"help": "trackers of training curves: tensorboard, wandb, trackio, mlflow, …; or none"},
    )
    engine: EngineName = field(default="plain", metadata={"help": ENGINES})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warm_start and self.encoder:
            raise PrectrError("warm_start brings its own encoder, but encoder names another: leave one of them out.")


@dataclass
class HistoryArguments(Ranged):
    """How much of the past an impression sees, and training for cold start."""

    history_in_category: int = field(
        default=40, metadata={"help": "the user's last events in the query's category", "range": PAST}
    )
    history_overall: int = field(default=40, metadata={"help": "the user's last events in any category", "range": PAST})
    cross_history: int = field(
        default=120, metadata={"help": "other users' last events under the same query", "range": PAST}
    )
    cold_share: float = field(
        default=0.3, metadata={"help": "cold start: share of training pages with a cut history", "range": SHARE}
    )
    cold_lengths: list[int] = field(
        default_factory=lambda: [0, 1, 3, 10, 30],
        metadata={"help": "pages a cut history keeps; also the rungs of the new-user ladder", "range": (0, COUNT)},
    )
    user_id_embedding: bool = field(
        default=False, metadata={"help": "embed the user id (OOV wherever the history is cut); never published"}
    )
    item_id_embedding: bool = field(default=True, metadata={"help": "embed the item id"})
    max_vocabulary: int = field(
        default=MAX_VOCABULARY,
        metadata={"help": "largest vocabulary of a categorical: the most frequent values", "range": (0, 100_000_000)},
    )
    hash_buckets: int = field(
        default=HASH_BUCKETS,
        metadata={"help": "hashed embeddings that values beyond the vocabulary share", "range": (0, 100_000_000)},
    )


@dataclass
class ModelArguments(Ranged):
    """The network; see rank/model/ranker_model.py."""

    numeric_bins: int = field(
        default=12, metadata={"help": "quantile bins of each number's piecewise-linear encoding", "range": (1, 1000)}
    )
    embedding_size: int = field(default=12, metadata={"help": "width of each categorical's embedding", "range": WIDTH})
    hidden_sizes: list[int] = field(
        default_factory=lambda: [256, 128], metadata={"help": "base module's layers", "range": WIDTH}
    )
    dropout: float = field(default=0.1, metadata={"help": "dropout in the base module", "range": (0, 0.99)})
    attention_size: int = field(default=48, metadata={"help": "width of the preference vector", "range": WIDTH})
    attention_heads: int = field(default=4, metadata={"help": "heads of the target attention", "range": (1, 1000)})
    user_preference: bool = field(default=True, metadata={"help": "target attention over the user's own past"})
    cross_preference: bool = field(default=True, metadata={"help": "target attention over other users' past"})
    incentive: Literal["inside", "outside", "none"] = field(
        default="inside", metadata={"help": "signed incentive: inside the fusion, outside it, or absent"}
    )
    incentive_max: float = field(default=2.0, metadata={"help": "largest incentive, in logits", "range": LOGITS})
    fusion: Literal["conditional", "sigmoid"] = field(
        default="conditional",
        metadata={"help": "conditional: Σ over levels of π_k σ(a_k); sigmoid: one click logit that reads π"},
    )
    ordinal_head: bool = field(
        default=False, metadata={"help": "click logits that rise with the level by construction"}
    )
    click_trains_level: bool = field(default=True, metadata={"help": "the click loss also reaches π"})
    stage_one_features: bool = field(
        default=True, metadata={"help": "read the features made of stage one's P(level | query, item)"}
    )
    exact_match: bool = field(
        default=True, metadata={"help": "read exact matches: clicks on this item and on items of its attributes"}
    )
    text_vectors: bool = field(
        default=True,
        metadata={"help": "read what query, item and past items are in text, beside how well query and item match"},
    )
    text_size: int = field(default=128, metadata={"help": "width of a text vector", "range": WIDTH})
    soft_counts: bool = field(
        default=True, metadata={"help": "read soft counts: clicks on items whose text reads like this one's"}
    )
    members: int = field(
        default=1,
        metadata={"help": "networks in the base module's ensemble, which share nearly all weights", "range": (1, 1000)},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden_sizes:
            raise PrectrError("hidden_sizes is empty: give the base module at least one layer.")
        if self.incentive != "none" and not (self.user_preference or self.cross_preference):
            raise PrectrError(
                "incentive reads the preference vector, but user_preference and cross_preference are both off: "
                "switch one of them on, or set incentive: none."
            )
        if self.fusion == "sigmoid" and (self.ordinal_head or self.incentive == "outside"):
            found = "ordinal_head orders" if self.ordinal_head else "incentive: outside stands beside"
            raise PrectrError(
                f"{found} the click logits of the levels, but fusion: sigmoid has one for all: set "
                f"{'ordinal_head: false' if self.ordinal_head else 'incentive: inside'}."
            )
        if self.attention_size % self.attention_heads:
            raise PrectrError(
                f"attention_size {self.attention_size} is not a multiple of attention_heads {self.attention_heads}."
            )


@dataclass
class SamplingArguments(Ranged):
    """How the log was sampled."""

    negative_sampling_rate: float = field(
        default=1.0,
        metadata={"help": "negative sampling: share of unclicked impressions that the log kept", "range": (1e-9, 1)},
    )


@dataclass
class LossArguments(SamplingArguments):
    """Weights of the losses; a weight of 0 leaves the term out altogether. See rank/training/losses.py."""

    engagement_weight: float = field(
        default=0.7,
        metadata={
            "help": "share of the click target that boosted trees give, cross-fitted; 0: clicks alone",
            "range": SHARE,
        },
    )
    relevance_weight: float = field(
        default=0.5, metadata={"help": "λ of the relevance loss on replayed pairs", "range": WEIGHT}
    )
    replay_share: float = field(
        default=0.2, metadata={"help": "replayed pairs as a share of a batch", "range": (0, 0.99)}
    )
    replay_pairs: int = field(
        default=5000,
        metadata={
            "help": "replayed pairs without a gold level, as the encoder itself judges them; 0: gold alone",
            "range": (0, COUNT),
        },
    )
    consistency_weight: float = field(default=0.05, metadata={"help": "λ of semantic consistency", "range": WEIGHT})
    consistency_margin: float = field(
        default=0.0, metadata={"help": "margin between neighbouring levels, in logits", "range": LOGITS}
    )
    debias_weight: float = field(
        default=0.05, metadata={"help": "λ of the exposure-bias loss; at most .1 to start", "range": WEIGHT}
    )
    margin_per_level: float = field(
        default=1.0, metadata={"help": "m₁: margin per level of fall, in logits", "range": LOGITS}
    )
    margin_max: float = field(default=3.0, metadata={"help": "margin clip, in logits", "range": LOGITS})
    noise: Literal["isotropic", "covariance", "toward_neighbour"] = field(
        default="toward_neighbour", metadata={"help": "noise that makes hard negatives of impressions"}
    )
    noise_scale: float = field(default=1.0, metadata={"help": "scale of that noise", "range": (0, 1000)})
    incentive_penalty: float = field(default=0.01, metadata={"help": "λ of τ²", "range": WEIGHT})
    position_debias: bool = field(
        default=False, metadata={"help": "learn the position bias of each place, and leave it out of the scores"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.relevance_weight > 0 and self.replay_share == 0:
            raise PrectrError(
                "relevance_weight works on replayed pairs, but replay_share is 0: raise it, or set relevance_weight: 0."
            )


@dataclass
class TrainArguments(Ranged):
    """Training; the rest is transformers' Trainer as it comes."""

    bf16: bool = field(
        default=True,
        metadata={"help": "matrix products of training in bfloat16, where the machine has them"},
    )
    frozen_epochs: float = field(
        default=0.0,
        metadata={
            "help": "first epochs, in which the text encoder is frozen and all else is trained",
            "was": ("resting_epochs", "0.2.0"),
            "range": EPOCHS,
        },
    )
    epochs: float = field(
        default=3.0, metadata={"help": "epochs after them, in which everything is trained", "range": EPOCHS}
    )
    pages_per_batch: int = field(
        default=42, metadata={"help": "pages (of about 12 impressions) per batch", "range": BATCH}
    )
    pages_together: int = field(
        default=6,
        metadata={"help": "pages of one category that go into a batch together, to share item texts", "range": BATCH},
    )
    batches_per_encoder_step: int = field(
        default=128,
        metadata={
            "help": "batches whose texts are encoded once, and whose gradients the text encoder takes together",
            "range": BATCH,
        },
    )
    warmup_share: float = field(
        default=0.05,
        metadata={"help": "two-step training: share of the batches that train the level module alone", "range": SHARE},
    )
    learning_rate: float = field(default=2e-3, metadata={"help": "of everything but the encoder", "range": RATE})
    embedding_learning_rate: float = field(
        default=4e-4, metadata={"help": "of the embeddings of categoricals", "range": RATE}
    )
    encoder_learning_rate: float = field(
        default=2e-4, metadata={"help": "of the text encoder; 0 freezes it", "range": RATE}
    )
    weight_decay: float = field(default=0.01, metadata={"help": "AdamW's, on matrices", "range": (0, 10)})
    calibrate: bool = field(
        default=True,
        metadata={"help": "after training, shift all click logits until PCOC is 1 on the validation split"},
    )
    save_steps: int = field(
        default=100,
        metadata={"help": "batches between checkpoints (a killed run goes on from one)", "range": (1, COUNT)},
    )
    logging_steps: int = field(default=20, metadata={"help": "batches between log lines", "range": (1, COUNT)})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder_learning_rate == 0 and self.warmup_share > 0:
            raise PrectrError(
                "the warm-up trains the level module, but encoder_learning_rate is 0, which freezes it: set "
                "warmup_share: 0 too."
            )
        if self.frozen_epochs + self.epochs == 0:
            raise PrectrError("frozen_epochs and epochs are both 0: give one of them a number of passes above 0.")

    @property
    def passes(self) -> tuple[float, float]:
        """Passes without and with the text encoder; a learning rate of 0 freezes it in all of them."""
        if self.encoder_learning_rate == 0:
            return self.frozen_epochs + self.epochs, 0.0
        return self.frozen_epochs, self.epochs

    @property
    def frozen_throughout(self) -> bool:
        """Whether the text encoder never learns."""
        return self.passes[1] == 0


@dataclass
class BatchArguments(Ranged):
    """How much is scored at once."""

    evaluation_batch: int = field(
        default=4096, metadata={"help": "impressions scored at once", "range": (1, 10_000_000)}
    )


@dataclass
class EvaluateArguments(BatchArguments):
    """The evaluation protocol."""

    bootstrap_resamples: int = field(
        default=200, metadata={"help": "bootstrap resamples of users behind intervals", "range": (1, 1_000_000)}
    )


UNDECIDING = ("save_steps",)
"""Settings that decide no result."""


def deciding(arguments: Any) -> dict[str, Any]:
    """A dataclass of settings as a step's inputs."""
    return {name: value for name, value in asdict(arguments).items() if name not in UNDECIDING}


def check_together(
    history: HistoryArguments, model: ModelArguments, losses: LossArguments, training: TrainArguments
) -> None:
    """Refuse settings of different groups that contradict each other.

    Raises:
        PrectrError: a part is asked for without what it works on.
    """
    places = history.history_in_category + history.history_overall
    for contradicts, message in (
        (
            training.warmup_share > 0 and losses.replay_share == 0,
            "the warm-up trains the level module on replayed pairs, but replay_share is 0: raise it, or set "
            "warmup_share: 0 too.",
        ),
        (
            model.user_preference and places == 0,
            "user_preference reads the user's past, but history_in_category and history_overall are 0: raise one of "
            "them, or set user_preference: false.",
        ),
        (
            model.cross_preference and history.cross_history == 0,
            "cross_preference reads other users' past, but cross_history is 0: raise it, or set cross_preference: "
            "false.",
        ),
        (
            model.fusion == "sigmoid" and losses.consistency_weight > 0,
            "semantic consistency compares the click logits of the levels, but fusion: sigmoid has one for all: set "
            "consistency_weight: 0 too.",
        ),
        (
            history.cold_share > 0 and not history.cold_lengths,
            "cold_share cuts histories to one of cold_lengths, but there are none: name some, or set cold_share: 0.",
        ),
    ):
        if contradicts:
            raise PrectrError(message)


ARGUMENTS = (RunArguments, HistoryArguments, ModelArguments, LossArguments, TrainArguments, EvaluateArguments)
"""The settings of a run."""
