"""Whether `kill -9`, or a second command at the same time, changes what a run leaves.

    python -m benchmarks.kills [--kills 30]

Both stages run undisturbed on the toy shop, with tiny random models; then each is killed so many times, at moments
drawn over all of its run, and run again; then pairs of commands work on one folder at once. What is left is compared
with the undisturbed results, file by file. Killed itself, the benchmark goes on with the same command; what it has
found lies in `artifacts/kills`, which may be removed to begin anew.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.command_line import read_arguments
from benchmarks.kills.pairs import AT_ONCE, all_pairs
from benchmarks.kills.process import Process, load_libraries
from benchmarks.kills.stage import Undisturbed, kill_once, run_undisturbed
from benchmarks.provenance import provenance
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console, table

MODULE = "benchmarks.kills"
SMOKE = ["run", "--profile", "smoke"]


@dataclass
class KillArguments:
    """How often is killed, and where."""

    kills: int = field(default=30, metadata={"help": "times that each stage is killed"})
    pairs: bool = field(default=True, metadata={"help": "whether pairs of commands run at once too"})
    artifacts: str = field(default="artifacts/kills", metadata={"help": "folder of all that is made meanwhile"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of kills.json"})

    def __post_init__(self) -> None:
        if self.kills < 1:
            raise PrectrError(f"command line: --kills {self.kills}: give a number from 1 on.")


class Found:
    """What has been found so far, kept in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.values: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}

    def __setitem__(self, name: str, value: Any) -> None:
        self.values[name] = value
        with atomic_write(self.file) as temporary:
            temporary.write_text(json.dumps(self.values, indent=1) + "\n")


def main(argv: list[str]) -> None:
    arguments = read_arguments(KillArguments, MODULE, argv)
    load_libraries()
    home = Path(arguments.artifacts).absolute()
    home.mkdir(parents=True, exist_ok=True)
    found = Found(home / "found.json")
    data = home / "data"
    built = Process(["data", "build", "--profile", "smoke", "--artifacts", str(data)], home / "data.log")
    if built.wait():
        raise PrectrError(f"the toy shop was not built; it said: {built.printed()[-2000:]}")
    one = undisturbed(found, "distill", data, home)
    two = undisturbed(found, "rank", one.artifacts, home)
    for draw in range(2 * arguments.kills):  # some draws come too late to kill anything
        for run in (one, two):
            name = f"{run.words[0]} {draw}"
            if name not in found.values and len(killed(found, run)) < arguments.kills:
                found[name] = outcome = kill_once(run, draw, home / "trial")
                console.print(f"{name}: {told(outcome)}", soft_wrap=True)
    for pair in all_pairs(data, one, two, home) if arguments.pairs else ():
        for name in pair.names:
            if name not in found.values:
                found[name] = outcome = pair.run(name)
                console.print(f"{name}: {told(outcome)}", soft_wrap=True)
    report(found, one, two, Path(arguments.results) / "kills.json", argv)


def undisturbed(found: Found, stage: str, before: Path, home: Path) -> Undisturbed:
    """The stage's run that nobody kills; done once."""
    if stage not in found.values:
        found[stage] = asdict(run_undisturbed([stage, *SMOKE], before, home / stage))
    return Undisturbed(**found.values[stage])


def killed(found: Found, run: Undisturbed) -> list[dict[str, Any]]:
    """Outcomes of the runs of a stage that were killed before they had ended."""
    trials = [value for name, value in found.values.items() if name.startswith(f"{run.words[0]} ")]
    return [each for each in trials if each["killed"]]


def told(outcome: dict[str, Any]) -> str:
    """An outcome in a few words."""
    codes = outcome.get("codes") or [outcome["code"]]
    faults = [f"exit codes {codes}"] if any(code not in (0, 2) for code in codes) or codes == [2] else []
    faults += [f"{kind}: {', '.join(outcome[kind][:6])}" for kind in ("differing", "leftovers") if outcome[kind]]
    return "; ".join(faults) or "as undisturbed"


def report(found: Found, one: Undisturbed, two: Undisturbed, file: Path, argv: list[str]) -> None:
    stages = {run.words[0]: killed(found, run) for run in (one, two)}
    pairs = {name: value for name, value in found.values.items() if name.startswith(AT_ONCE)}
    result: dict[str, Any] = {
        **provenance(MODULE, argv),
        "files_compared": {run.words[0]: len(run.results()) for run in (one, two)},
        "kills": {
            stage: {
                "killed": len(trials),
                "as_undisturbed": sum(told(each) == "as undisturbed" for each in trials),
                "in_step": dict(Counter(each["step"] for each in trials)),
                "faults": [{**each, "told": told(each)} for each in trials if told(each) != "as undisturbed"],
            }
            for stage, trials in stages.items()
        },
        "at_once": [
            {**{key: value for key, value in each.items() if key != "said"}, "outcome": told(each)}
            for each in pairs.values()
        ],
    }
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    rows = [[stage, len(trials), result["kills"][stage]["as_undisturbed"]] for stage, trials in stages.items()]
    table("kill -9", ["stage", "killed", "as undisturbed"], rows)
    table(
        "Two at once",
        ["commands", "one waits", "told", "outcome"],
        [
            [name.removeprefix("at once: "), each["waited"], len(each["told"]), told(each)]
            for name, each in pairs.items()
        ],
    )
    console.print(f"Files: {file}")


if __name__ == "__main__":
    run_main(main)
