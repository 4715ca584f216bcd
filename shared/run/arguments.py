"""Settings that verbs of both stages have."""

from dataclasses import dataclass, field


@dataclass
class PublishArguments:
    """Where it is uploaded to."""

    repo: str = field(default="", metadata={"help": "user/name on the Hugging Face Hub"})
    private: bool = field(default=False, metadata={"help": "make the repository private, if it has to be made"})
    dry_run: bool = field(default=False, metadata={"help": "list what would be uploaded and stop"})
