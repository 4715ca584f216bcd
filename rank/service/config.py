"""The settings of `rank serve`."""

from dataclasses import dataclass, field

from prectr.shared.run.ranges import COUNT, Ranged

MANY = (1, COUNT)


@dataclass
class ServeArguments(Ranged):
    """Where the service listens, and how much it takes. API keys: PRECTR_API_KEYS and PRECTR_ADMIN_KEYS."""

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
        default=None, metadata={"help": "another trained ranker's folder, its data beside it, that is compared"}
    )
    share: float = field(default=0.1, metadata={"help": "share of the shoppers it ranks for", "range": (0.0, 1.0)})
    interleave: bool = field(
        default=False, metadata={"help": "on their pages both rankers choose in turn, which compares sooner"}
    )
    most_candidates: int = field(default=1_000, metadata={"help": "candidates of one page", "range": MANY})
    most_events: int = field(default=5_000, metadata={"help": "events in one request", "range": MANY})
    most_characters: int = field(default=2_000, metadata={"help": "characters of one text, query or id", "range": MANY})
    most_bytes: int = field(default=2_000_000, metadata={"help": "bytes of one request", "range": MANY})
    most_waiting: int = field(
        default=64, metadata={"help": "requests that wait; one more is answered 503", "range": (0, COUNT)}
    )
