"""The settings of the verbs that serve: which ranker, which tables, and what is asked of them."""

from dataclasses import dataclass, field
from pathlib import Path

from prectr.shared.errors import PrectrError
from prectr.shared.run.ranges import COUNT, Ranged

PARQUET = b"PAR1"
"""How a Parquet file begins."""


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

    impressions: str = field(
        metadata={
            "help": "Parquet file of whole pages: page_id, query, item_id, timestamp, ctx_* and, if known, user_id; by "
            "these names or the shop's own"
        }
    )
    output: str = field(metadata={"help": "Parquet file of scores to write"})
    rows_at_once: int = field(
        default=65_536, metadata={"help": "impressions read at once; bounds the memory", "range": (1, COUNT)}
    )

    def require_parquet(self, data: Path) -> None:
        """Says what to do with a log that is none, before anything is loaded.

        Args:
            data: the folder whose conversion reads such a log, where it was converted.

        Raises:
            PrectrError: there is no such file, or it is no Parquet file.
        """
        if "://" in self.impressions:
            return  # said once it is here
        path = Path(self.impressions)
        if not path.is_file():
            raise PrectrError(f"{path}: no such file; name a Parquet file of impressions.")
        with open(path, "rb") as file:
            if file.read(len(PARQUET)) == PARQUET:
                return
        kept = data / "mapping.yaml"
        alike = f"--mapping {kept} " if kept.is_file() else ""
        command = f"python -m data convert table {path} {alike}--name new"
        raise PrectrError(
            f"{path} is not a Parquet file: write its rows as one (pandas: read_csv, to_datetime, to_parquet), the "
            f"shop's own names may stay; or convert it (`{command}`) and score artifacts/new/data/impressions.parquet."
        )


@dataclass
class ExplainArguments(Ranged):
    """Which page is explained, and how."""

    page: int | None = field(
        default=None, metadata={"help": "page_id of a page of the tables", "range": (-(2**63), 2**63 - 1)}
    )
    split: str = field(default="test", metadata={"help": "the split it is in"})
    query: str | None = field(default=None, metadata={"help": "instead of a page: any query, with --items"})
    items: list[str] = field(
        default_factory=list,
        metadata={"help": "what is ranked under it: item_ids, texts of new items, or JSON of one with its columns"},
    )
    user: str | None = field(default=None, metadata={"help": "user_id who asks; default: a new user"})
    time: str | None = field(
        default=None, metadata={"help": "when it is asked, as YYYY-MM-DDTHH:MM:SS; default: after the last event"}
    )
    top_events: int = field(default=3, metadata={"help": "past events shown, most attended first", "range": (0, COUNT)})
    top_features: int = field(
        default=3, metadata={"help": "single inputs shown, largest part first", "range": (0, COUNT)}
    )
    json: bool = field(default=False, metadata={"help": "print JSON instead of tables"})

    def require_a_page(self) -> None:
        """Raises `PrectrError` unless a page of the tables is named, or a query with items."""
        if (self.page is None) == (self.query is None):
            found = "both are given" if self.query is not None else "neither is given"
            raise PrectrError(
                f"explain takes --page of the tables, or --query with --items, but {found}: name one of them."
            )
        if (self.query is None) != (not self.items):
            missing = "items" if self.query is not None else "query"
            raise PrectrError(f"--query and --items belong together, but --{missing} is missing: add it.")


@dataclass
class ExportArguments:
    """Which ranker is exported."""

    folder: str = field(metadata={"help": "a trained ranker's folder, which the graphs go into", "positional": True})


@dataclass
class AbsorbArguments(Ranged):
    """Which events are folded into the tables."""

    journal: str = field(metadata={"help": "the journal of a ranker with live memory"})
    held_out: float = field(
        default=0.2,
        metadata={
            "help": "share of the new pages that is not trained on: its later half judges, its earlier half stops",
            "range": (0.02, 0.9),
        },
    )


@dataclass
class CompareArguments(Ranged):
    """Which journal is asked who won."""

    journal: str = field(metadata={"help": "the journal of a service with a challenger"})
    resamples: int = field(
        default=1_000, metadata={"help": "resamples of the bootstrap over shoppers", "range": (1, COUNT)}
    )
    json: bool = field(default=False, metadata={"help": "print JSON instead of sentences"})


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
