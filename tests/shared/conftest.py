"""What tests of the terminal share."""

import io

import pytest
from rich.console import Console

from prectr.shared.run import console


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the console prints in a command, as into a log file."""
    monkeypatch.setattr(console, "_shows_progress", True)
    stream = io.StringIO()
    monkeypatch.setattr(console, "console", Console(file=stream, width=100, force_terminal=False))
    return stream
