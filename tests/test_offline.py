"""The guard in conftest.py: other machines are out of reach, this one is not."""

import socket

import pytest
import torch


def test_other_machines_are_refused() -> None:
    with socket.socket() as client, pytest.raises(RuntimeError, match=r"192\.0\.2\.1; tests run offline"):
        client.connect(("192.0.2.1", 80))
    with pytest.raises(RuntimeError, match="example.org"):
        socket.create_connection(("example.org", 80))


def test_loopback_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(1) == b"x"


def test_torch_uses_one_thread() -> None:
    assert torch.get_num_threads() == 1
