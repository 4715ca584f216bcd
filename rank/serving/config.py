"""The settings of the verbs that serve: which ranker, which tables, and what is asked of them."""

from dataclasses import dataclass, field

from prectr.shared.run.ranges import COUNT, Ranged


@dataclass
class RankerArguments:
    """Which trained ranker."""

    ranker: str | None = field(
        default=None, metadata={"help": "a trained ranker's folder or hub id; default: artifacts/<name>/ranker"}
    )


@dataclass
class DataArguments:
    """Which items and past events it is given."""

    data: str | None = field(
        default=None, metadata={"help": "folder of items.parquet, behaviours.parquet; default: data/ beside the ranker"}
    )


@dataclass
class ScoreArguments(Ranged):
    """What is scored, and where the scores go."""

    impressions: str = field(metadata={"help": "Parquet file of impressions, whole pages; `clicked` may be absent"})
    output: str = field(metadata={"help": "Parquet file of scores to write"})
    rows_at_once: int = field(
        default=65_536, metadata={"help": "impressions read at once; bounds the memory", "range": (1, COUNT)}
    )


@dataclass
class ExplainArguments(Ranged):
    """Which page is explained, and how."""

    page: int = field(metadata={"help": "page_id of the page", "range": (-(2**63), 2**63 - 1)})
    split: str = field(default="test", metadata={"help": "the split it is in"})
    top_events: int = field(
        default=3, metadata={"help": "past events shown per candidate, most attended first", "range": (0, COUNT)}
    )
    top_features: int = field(
        default=3, metadata={"help": "single inputs shown per candidate, largest part first", "range": (0, COUNT)}
    )
    json: bool = field(default=False, metadata={"help": "print JSON instead of tables"})


@dataclass
class AbsorbArguments:
    """Which events are folded into the tables."""

    journal: str = field(metadata={"help": "the journal of a ranker with live memory"})


@dataclass
class DriftArguments:
    """Which newer log is compared, and where the comparison goes."""

    log: str = field(metadata={"help": "a data folder of the contract: impressions, items, behaviours"})
    split: str | None = field(
        default=None, metadata={"help": "only this split of its impressions; default: all that were shown"}
    )
    report: str | None = field(
        default=None, metadata={"help": "JSON file to write; default: drift.json beside the ranker's folder"}
    )
