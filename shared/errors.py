"""The one error that users are meant to read."""


class PrectrError(Exception):
    """A failure the user can act on; its message is one sentence that says what was found and what to do."""
