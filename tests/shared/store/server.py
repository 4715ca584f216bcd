"""An S3-compatible server on loopback, moto's, for as long as tests take; and a place that refuses everybody."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SECRET = "a-secret-that-nobody-may-find"
BUCKET = "shop"
MISSING = "moto is not installed: pip install --no-deps -r tests/object_store.txt"


@contextmanager
def store(bucket: str = BUCKET) -> Iterator[dict[str, str]]:
    """A server with an empty bucket; yields the environment in which commands find it."""
    server = pytest.importorskip("moto.server", reason=MISSING).ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    _, port = server.get_host_and_port()
    environment = environment_of(port)
    try:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            from pyarrow import fs

            files, path = fs.FileSystem.from_uri(f"s3://{bucket}?allow_bucket_creation=true")
            files.create_dir(path)
            yield environment
    finally:
        server.stop()


def environment_of(port: int) -> dict[str, str]:
    """What names a server on this machine, and who asks."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class _Refuses(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def refusing() -> Iterator[dict[str, str]]:
    """A server that answers 403 to all; yields its environment."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield environment_of(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def holds(folder: Path, text: str) -> list[str]:
    """The files under a folder, hidden ones too, in whose name or contents a text stands."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if text in str(path) or text.encode() in path.read_bytes()]
