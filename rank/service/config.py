"""The settings of `rank serve`."""

from dataclasses import dataclass, field

from prectr.shared.errors import PrectrError


@dataclass
class ServeArguments:
    """Where the service listens, and how much it takes. API keys: PRECTR_API_KEYS and PRECTR_ADMIN_KEYS."""

    host: str = field(
        default="127.0.0.1", metadata={"help": "address it listens on; others than this machine's need keys"}
    )
    port: int = field(default=8000, metadata={"help": "port it listens on; 0: any that is free"})
    journal: str | None = field(
        default=None, metadata={"help": "file that events are kept in; default: artifacts/<name>/journal.sqlite"}
    )
    log_time: bool = field(
        default=False, metadata={"help": "the present is the moment after the log's last event, as for a demonstration"}
    )
    most_candidates: int = field(default=1_000, metadata={"help": "candidates of one page"})
    most_events: int = field(default=5_000, metadata={"help": "events in one request"})
    most_characters: int = field(default=2_000, metadata={"help": "characters of one text, query or id"})
    most_bytes: int = field(default=2_000_000, metadata={"help": "bytes of one request"})
    most_waiting: int = field(default=64, metadata={"help": "requests that wait; one more is answered 503"})

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65_536:
            raise PrectrError(f"port is {self.port}: give a number from 0 (any that is free) to 65535.")
        for name in ("most_candidates", "most_events", "most_characters", "most_bytes"):
            if getattr(self, name) < 1:
                raise PrectrError(f"{name} is {getattr(self, name)}: give a number from 1 on.")
        if self.most_waiting < 0:
            raise PrectrError(f"most_waiting is {self.most_waiting}: give a number from 0 on.")
