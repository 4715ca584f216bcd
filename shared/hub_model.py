"""Models that are a folder, here or on the Hugging Face Hub: huggingface_hub's mixin, with our format and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelHubMixin
from huggingface_hub.errors import HTTPError

from prectr.shared.errors import PrectrError
from prectr.shared.hub import check_repo, refusal, require_token


class HubModel(ModelHubMixin):
    """A model that `_save_pretrained` writes into a folder and `_from_pretrained` opens again.

    Unlike in the mixin, config.json holds what the model itself writes, and no card is made up: the one that `publish`
    writes tells how the model came to be.

    Example:
        >>> class Scale(HubModel):
        ...     def __init__(self, factor: float) -> None:
        ...         self.factor = factor
        ...
        ...     def _save_pretrained(self, save_directory: Path) -> None:
        ...         (save_directory / "factor").write_text(str(self.factor))
        ...
        ...     @classmethod
        ...     def _from_pretrained(cls, *, model_id: str, **download: Any) -> "Scale":
        ...         return cls(float((local_folder(model_id, **download) / "factor").read_text()))
    """

    def __new__(cls, *arguments: Any, **settings: Any) -> Self:
        """Without the mixin's copy of all arguments, which would become a config.json."""
        return object.__new__(cls)

    def save_pretrained(
        self, save_directory: str | Path, *, repo_id: str | None = None, push_to_hub: bool = False, **options: Any
    ) -> str | None:
        """Writes the model's folder.

        Args:
            save_directory: the folder; it is made if it is not there.
            push_to_hub: also upload it, to `repo_id` (user/name), with `options` of `push_to_hub`.

        Returns:
            The commit's address, where it was uploaded.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self._save_pretrained(folder)
        return self.push_to_hub(repo_id or folder.name, **options) if push_to_hub else None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        **settings: Any,
    ) -> Self:
        """Opens a folder that `save_pretrained` wrote, or a hub id that one was published under.

        Args:
            pretrained_model_name_or_path: the folder, or user/name.
            revision: branch, tag or commit of the hub's repository.
            token: for a private one; default: that of `hf auth login` or HF_TOKEN.
            cache_dir: where downloads are kept.
            local_files_only: take what was downloaded before, and ask the hub for nothing.
            force_download: download again what is there.

        Raises:
            PrectrError: there is no such folder or repository, a file of it is missing, or newer code wrote it.
        """
        return cls._from_pretrained(
            model_id=str(pretrained_model_name_or_path),
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            force_download=force_download,
            **settings,
        )

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Uploads the model's folder in one commit and leaves all else there, such as the card, as it is.

        Args:
            repo_id: user/name; the repository is made if it is not there.
            options: `private`, `token`, `branch`, `create_pr`, `commit_message`, `allow_patterns`, `ignore_patterns`
                and `delete_patterns`, as `ModelHubMixin.push_to_hub` has them.

        Returns:
            The commit's address.

        Raises:
            PrectrError: `repo_id` is no repository's name, there is no token, or the hub refuses.
        """
        check_repo(repo_id)
        require_token(options.get("token"))
        try:
            return super().push_to_hub(repo_id, **{"commit_message": "Publish with prectr", **options})
        except (HTTPError, OSError, ValueError) as error:
            raise PrectrError(refusal(repo_id, error)) from error
