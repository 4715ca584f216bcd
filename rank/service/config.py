"""The settings of `rank serve`."""

from dataclasses import dataclass, field

from prectr.shared.run.ranges import COUNT, Ranged

MANY = (1, COUNT)
COMPARED = "Another trained ranker that is compared"
MOST = "How much it takes"


@dataclass
class ServeArguments(Ranged):
    """Where it listens, and what it keeps. API keys: PRECTR_API_KEYS and PRECTR_ADMIN_KEYS."""

    host: str = field(
        default="127.0.0.1", metadata={"help": "address it listens on; others than this machine's need keys"}
    )
    port: int = field(default=8000, metadata={"help": "port it listens on; 0: any that is free", "range": (0, 65_535)})
    journal: str | None = field(
        default=None, metadata={"help": "file that events are kept in; default: artifacts/<name>/journal.sqlite"}
    )
    log_time: bool = field(
        default=False, metadata={"help": "the present is the moment after the log's last event, as for a demonstration"}
    )
    workers: int = field(
        default=1,
        metadata={"help": "processes that answer; each learns at once what another was told", "range": (1, 256)},
    )
    challenger: str | None = field(
        default=None,
        metadata={"help": "its folder, with its data beside it", "group": COMPARED},
    )
    share: float = field(
        default=0.1, metadata={"help": "share of the shoppers it ranks for", "range": (0.0, 1.0), "group": COMPARED}
    )
    interleave: bool = field(
        default=False,
        metadata={"help": "on their pages both rankers choose in turn, which compares sooner", "group": COMPARED},
    )
    most_candidates: int = field(
        default=1_000, metadata={"help": "candidates of one page", "range": MANY, "group": MOST}
    )
    most_events: int = field(default=5_000, metadata={"help": "events in one request", "range": MANY, "group": MOST})
    most_characters: int = field(
        default=2_000, metadata={"help": "characters of one text, query or id", "range": MANY, "group": MOST}
    )
    most_bytes: int = field(default=2_000_000, metadata={"help": "bytes of one request", "range": MANY, "group": MOST})
    most_waiting: int = field(
        default=64,
        metadata={"help": "requests that wait; one more is answered 503", "range": (0, COUNT), "group": MOST},
    )
