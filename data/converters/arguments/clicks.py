"""Flags of clicks that lie in files of their own, beside a log of what was shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from prectr.data.converters.arguments.common import columns
from prectr.shared.errors import PrectrError


@dataclass
class ClickArguments:
    """Clicks in files of their own: joined by the page they name, else by user, item and time."""

    click_files: list[str] = columns("files of clicks beside the log: one row or object for each")
    click_page: str = field(default="", metadata={"help": "column of the page (or query id) that was clicked on"})
    click_item: str = field(
        default="", metadata={"help": "column of the item's id, or a list of ids; empty: as in the log"}
    )
    click_user: str = field(default="", metadata={"help": "column of the user, for clicks that name no page"})
    click_query: str = field(default="", metadata={"help": "column of the query, for clicks that name no page"})
    click_timestamp: str = field(default="", metadata={"help": "column of times, for clicks that name no page"})
    click_type: str = field(default="", metadata={"help": "column of the kind of event, where not all are clicks"})
    click_value: list[str] = columns("what that column says of a click; all else is none")
    other_value: list[str] = columns("what it says of events that count besides, such as purchase (with their time)")
    click_minutes: int = field(
        default=30, metadata={"help": "a click that names no page is of its user's last one that shows it, so long"}
    )

    def __post_init__(self) -> None:
        named = [name for name in ("click_page", "click_user", "click_type") if getattr(self, name)]
        if not self.click_files:
            if named:
                raise PrectrError(f"--{named[0]}: name the files of the clicks with --click_files.")
            return
        if not self.click_page and not (self.click_user and self.click_timestamp):
            raise PrectrError(
                "--click_files: name the column of the page with --click_page, or else those of user and time with "
                "--click_user and --click_timestamp."
            )
        if (self.click_value or self.other_value) and not self.click_type:
            raise PrectrError("--click_value, --other_value are what a column says: name it with --click_type.")
        if self.click_type and not self.click_value:
            raise PrectrError("--click_type: say what it says of a click with --click_value.")
        if self.other_value and not self.click_timestamp:
            raise PrectrError("--other_value: events without a page need a time: name its column: --click_timestamp.")
        if not 0 < self.click_minutes <= 10080:
            raise PrectrError(f"--click_minutes {self.click_minutes}: give 1 to 10080 minutes (a week).")
