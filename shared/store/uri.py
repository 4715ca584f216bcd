"""Places that a URI names, s3://bucket/key, gs://bucket/key or file:///folder, through pyarrow's file systems. [O]

Credentials come from the environment, as every tool of a store takes them; a URI that holds some is refused and not
repeated. `AWS_ENDPOINT_URL`, or `?endpoint_override=host:port&scheme=http`, names another server than Amazon's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
from pyarrow import fs

from prectr.shared.errors import PrectrError
from prectr.shared.storage.resources import FULL, OPEN
from prectr.shared.store.names import is_uri as is_uri

CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    "file": "give this user the right",
}
"""How each scheme's credentials get into the environment."""

_REFUSED = re.compile(
    r"access.?denied|access.?key|signature|token|credential|metadata\.google|forbidden|unauthenticated|"
    r"permission.?denied|unauthorized|http status 40[13]",
    re.IGNORECASE,
)
_NO_SUCH_BUCKET = "there is no such bucket: correct its name, or make it first"
_NO_BUCKET = re.compile(r"no.?such.?bucket|bucket.{0,80}(does not exist|not found)", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"network.?connection|curl|could ?n[o']t (connect|resolve)|unavailable|timed? ?out|slow.?down|endpoint.?resolution",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """A file or folder of a store.

    Attributes:
        uri: as messages show it, without what stands behind a question mark.
        files: the store. path: in it.
    """

    uri: str
    files: fs.FileSystem
    path: str

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return bool(self.files.type_name == "local")

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.uri}/{name}", self.files, f"{self.path}/{name}")

    def list_files(self) -> dict[str, fs.FileInfo]:
        """All files of the folder, by their path in it; none where there is no such folder.

        Raises:
            PrectrError: no such bucket, no right to look, or nobody answers.
        """
        with told(self.uri):
            found = self.files.get_file_info(fs.FileSelector(self.path, recursive=True, allow_not_found=True))
            bucket = self.path.partition("/")[0]
            missing = not (found or self.is_here) and self.files.get_file_info(bucket).type == fs.FileType.NotFound
        if missing:
            raise PrectrError(f"{self.uri}: {_NO_SUCH_BUCKET}.")
        return {each.path[len(self.path) :].lstrip("/"): each for each in found if each.is_file}

    def info(self) -> fs.FileInfo:
        """What is there; raises as `list_files`."""
        with told(self.uri):
            return self.files.get_file_info(self.path)

    def read(self) -> bytes:
        """The contents of a file; raises as `list_files`, and where there is none."""
        with told(self.uri), self.files.open_input_stream(self.path) as stream:
            return bytes(stream.read())

    def fetch(self, file: Path) -> None:
        """Copy the file that is there to one here; raises as `read`."""
        with told(self.uri):
            fs.copy_files(self.path, str(file), self.files, fs.LocalFileSystem())

    def put(self, file: Path) -> None:
        """Copy a file of this machine there, where it appears whole; raises as `list_files`."""
        with told(self.uri):
            if self.is_here:  # a store has no folders to be made first
                self.files.create_dir(self.path.rpartition("/")[0], recursive=True)
            fs.copy_files(str(file), self.path, fs.LocalFileSystem(), self.files)

    def remove(self) -> None:
        """Remove the file that is there; raises as `read`."""
        with told(self.uri):
            self.files.delete_file(self.path)


def place_of(uri: str) -> Place:
    """The place that a URI names; nothing is asked of the store yet.

    Raises:
        PrectrError: an unknown scheme, credentials in the URI, or no bucket.
    """
    scheme, _, rest = uri.partition("://")
    scheme = scheme.lower()
    address, question, query = rest.partition("?")
    bucket, slash, key = address.rstrip("/").partition("/")
    user, at, _ = bucket.rpartition("@")
    # A secret may hold a slash or a question mark: it ends at the last @, wherever that is.
    has_password = ":" in bucket and "@" in rest
    if scheme not in CREDENTIALS:
        raise PrectrError(
            f"{scheme}://…: no store of that kind is known: name s3://bucket/folder, gs://bucket/folder, "
            "file:///folder, or a folder of this machine."
        )
    if has_password or (at and (scheme, user) != ("gs", "anonymous")):
        raise PrectrError(
            f"{scheme}://…@…: credentials in a URI are read by others too: leave them out, and {CREDENTIALS[scheme]}."
        )
    shown = f"{scheme}://{bucket}{slash}{key}"
    if not (bucket or scheme == "file"):
        raise PrectrError(f"{shown}: it names no bucket: write {scheme}://bucket/folder.")
    with told(shown):
        files, path = fs.FileSystem.from_uri(f"{scheme}://{bucket}{slash}{quote(key, safe='/%')}{question}{query}")
    return Place(shown, files, path)


@contextmanager
def told(uri: str) -> Iterator[None]:
    """What a store may refuse within, as one sentence; what this machine lacks is told elsewhere."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno in FULL | OPEN:
            raise
        raise PrectrError(f"{uri}: {_reason(uri.partition('://')[0], error)}.") from error


def _reason(scheme: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if _NO_BUCKET.search(text):
        return _NO_SUCH_BUCKET
    if _REFUSED.search(text):
        return f"the store refuses it, without credentials or with these: {CREDENTIALS[scheme]}"
    if _UNREACHABLE.search(text):
        server = ", and at AWS_ENDPOINT_URL if it is not Amazon's own" if scheme == "s3" else ""
        return f"the store cannot be reached: look at the network{server}"
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder: name one that is there"
    code = re.search(r"AWS Error \w+(?: \(HTTP status \d+\))? during \w+", text)
    return f"the store says {code[0] if code else text[:200].rstrip('.')!r}: try again, or name another place"
