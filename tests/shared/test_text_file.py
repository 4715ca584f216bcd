"""A file that a user names is read at once, or refused at once in a sentence: nothing waits for a pipe."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from prectr.data.journey.phrasebook import read_phrasebook
from prectr.distill.teachers.endpoint_texts import read_messages
from prectr.distill.teachers.prompt import read_prompt
from prectr.rank.serving.journal import Journal
from prectr.shared import text_file
from prectr.shared.errors import PrectrError
from prectr.shared.pretrained import check_weights, open_config, open_tokenizer
from prectr.shared.run.contents import remark_on_tables
from prectr.shared.run.schema import read_json
from prectr.shared.run.settings import read_config
from prectr.shared.text_file import read_text

ROOT = Path(__file__).parents[2]

READERS: dict[str, Callable[[Path], object]] = {
    "prompt.txt": lambda path: read_prompt(str(path), None),
    "settings.yaml": read_config,
    "chat.json": read_messages,
    "phrasebook.txt": read_phrasebook,
    "config.json": read_json,
    "journal.sqlite": Journal,
}


def make_socket(path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.close()


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": make_socket,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "empty device": lambda path: path.symlink_to("/dev/null"),
    "folder": Path.mkdir,
}


def refused(read: Callable[[Path], object], path: Path) -> str:
    """What `read` says of `path`; a reader that waits is freed, and fails."""
    waited = threading.Timer(20, lambda: os.close(os.open(path, os.O_RDWR)))
    waited.start()
    try:
        with pytest.raises(PrectrError) as error:
            read(path)
    finally:
        waited.cancel()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("file", READERS)
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, odd: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    path = Path(file)
    ODD[odd](path)
    said = refused(READERS[file], path)
    kind = "is a folder: name a file." if odd == "folder" else "is a pipe, a socket or a device: "
    assert said.startswith(f"{file} {kind}")


@pytest.mark.parametrize("file", [name for name in READERS if name != "journal.sqlite"])
def test_what_is_not_there_is_said(tmp_path: Path, file: str) -> None:
    assert str(tmp_path / file) in refused(READERS[file], tmp_path / file)


@pytest.mark.parametrize("file", ["prompt.txt", "settings.yaml", "chat.json", "phrasebook.txt"])
@pytest.mark.parametrize(
    "line", ["größe".encode("cp1252"), b"\xff\xfe", b"caf\xe9\n", "サイズ".encode("shift-jis"), b"\x80"]
)
def test_a_byte_that_is_not_utf8_is_named_with_its_line(tmp_path: Path, file: str, line: bytes) -> None:
    (tmp_path / file).write_bytes(b"# first\n" + line)
    assert f"{tmp_path / file}, line 2: a byte there is not UTF-8" in refused(READERS[file], tmp_path / file)


def test_a_mark_in_front_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfseed: 3\n")
    assert read_config(tmp_path / "a.yaml") == {"seed": 3}


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "MOST_BYTES", 10)
    (tmp_path / "a").write_text("x" * 11)
    with pytest.raises(PrectrError, match="has 11 bytes, which nobody has written by hand"):
        read_text(tmp_path / "a", "no such file.")


@pytest.mark.parametrize("open_folder", [check_weights, open_config, open_tokenizer])
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors", "a.model", "vocab.txt"])
def test_a_pipe_in_a_models_folder_is_refused(tmp_path: Path, open_folder: Callable[[Path], object], file: str) -> None:
    os.mkfifo(tmp_path / file)
    with pytest.raises(PrectrError, match=f"{file} is a pipe, a socket or a device"):
        open_folder(tmp_path)


def test_a_pipe_as_record_says_nothing_of_the_tables(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "step.json")
    assert remark_on_tables(tmp_path) == ""


COMMANDS = {
    "config": "distill run --config FILE",
    "config of rank": "rank run --config FILE",
    "config of data": "data build --config FILE",
    "config of score": "rank score --config FILE --impressions a.parquet --output b.parquet",
    "prompt": "distill run --profile smoke --prompt FILE",
    "teacher": "distill run --profile smoke --teacher FILE",
    "chat template": "distill check-teacher --teacher http://127.0.0.1:9/v1 --endpoint_chat_template FILE --name toy",
    "adapter": "distill run --profile smoke --teacher_adapter FILE",
    "start": "distill run --profile smoke --init_from FILE",
    "impressions": "rank score --impressions FILE --output b.parquet",
    "ranker": "rank score --impressions a.parquet --output b.parquet --ranker FILE",
    "journal": "rank absorb --name toy --journal FILE",
    "compared journal": "rank compare --journal FILE",
    "newer log": "rank validate --log FILE",
    "source": "data convert table FILE --name odd",
    "judgements": "data convert table plain.csv --judgements FILE --name odd",
    "catalogue": "data convert table plain.csv --items FILE --name odd",
    "mapping": "data convert table plain.csv --mapping FILE --name odd",
    "click files": "data convert result_pages plain.csv --click_files FILE --name odd",
    "phrasebook": "data build --phrasebook FILE",
    "checked folder": "data check FILE",
    "encoder": "rank run --profile smoke --encoder FILE",
    "warm start": "rank run --profile smoke --warm_start FILE",
    "artifacts": "rank run --profile smoke --artifacts FILE",
}
"""Every flag that names a file or a folder, by what it names."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a toy shop was built, with a pipe."""
    home = tmp_path_factory.mktemp("shop")
    run(home, "data build --profile smoke")
    os.mkfifo(home / "pipe.txt")
    (home / "plain.csv").write_text("query,item,clicked\nscarf,red scarf,1\n")
    return home


def run(home: Path, command: str) -> subprocess.CompletedProcess[str]:
    stage, *words = command.split()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "HF_HUB_OFFLINE": "1"}
    line = [sys.executable, "-m", "prectr", stage, *words]
    return subprocess.run(line, cwd=home, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("file", ["pipe.txt", "/dev/null"])
def test_no_command_waits_for_a_pipe(shop: Path, name: str, file: str) -> None:
    done = run(shop, COMMANDS[name].replace("FILE", file))
    assert done.returncode == 2 and done.stderr.startswith("error: "), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
