"""One training of the comparison: a system and a seed, in a folder of its own and as a process of its own.

python -m benchmarks.ranker.cell din --artifacts artifacts/bench/journey --name prectr_v2-seed0 --seed 0
"""

import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transformers.utils import logging

from benchmarks.ranker.systems import RANDOM_ENCODER, REFERENCE, flags_of, is_ours
from prectr.rank.__main__ import CONFIGS
from prectr.rank.config import ARGUMENTS, check_together
from prectr.rank.pipeline import SEEDLESS, SOURCES, build_all, build_inputs
from prectr.rank.workspace import ENGAGEMENT, JUDGED_PAIR_FEATURES, PAIR_FEATURES, Workspace
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.fingerprint import fingerprint_inputs
from prectr.shared.run.provenance import shareable_command
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.sources import code_of
from prectr.shared.run.steps import fingerprint_of, fingerprint_of_tables, run_step

MARK = "cell.json"
RIVALS = "benchmarks.rivals.fit"


@dataclass(frozen=True)
class Cell:
    """A system and a seed. `bench`: the folder of all cells. `flags`: of stage two, for every system."""

    system: str
    seed: int
    bench: Path
    flags: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.system}-seed{self.seed}"

    @property
    def folder(self) -> Path:
        return self.bench / self.name

    @property
    def result(self) -> Path:
        """The finished step that the cell is there for."""
        return self.folder / "ranker" if is_ours(self.system) else self.folder

    @property
    def random_encoder(self) -> Path:
        """Where the untrained encoder of this seed lies."""
        return self.bench / f"untrained_encoder-seed{self.seed}"

    @property
    def reference(self) -> "Cell":
        """The cell whose features this one reads: those of `prectr_v2` and the same seed."""
        return Cell(REFERENCE, self.seed, self.bench, self.flags)

    def arguments(self) -> list[str]:
        """Flags of stage two; of a flag that stands twice, the last one counts."""
        workspace = self if is_ours(self.system) else self.reference
        where = ["--artifacts", str(self.bench), "--name", workspace.name, "--seed", str(self.seed)]
        encoder = ["--encoder", str(self.random_encoder)] if self.system == RANDOM_ENCODER else []
        return [*self.flags, *where, *flags_of(workspace.system), *encoder]

    def command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.ranker.cell", self.system, *self.arguments()]

    def settings(self) -> tuple[Any, ...]:
        """One instance of each of `prectr.rank.config.ARGUMENTS`; a contradiction among them is refused."""
        settings = parse_arguments(ARGUMENTS, CONFIGS, self.arguments())
        check_together(*settings[1:5])
        return settings

    def workspace(self) -> Workspace:
        """The settings, folders and tables that the cell works with, once its inputs are linked."""
        return Workspace(*self.settings())

    def link_inputs(self, home: Workspace) -> None:
        """Put links into the folder to whatever the cell shares with others; a rival reads `reference` instead."""
        if not is_ours(self.system):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        shared = {"data": home.data}
        if self.system != RANDOM_ENCODER:  # which makes all that its encoder has a say in
            made = (*SEEDLESS, PAIR_FEATURES, JUDGED_PAIR_FEATURES)
            shared |= {name: home.folder / name for name in made}
            if home.run.encoder is None:
                shared["encoder"] = home.encoder
        if self.system not in (REFERENCE, RANDOM_ENCODER):
            taught = [ENGAGEMENT] if self.settings()[3].engagement_weight else []
            shared |= {name: self.reference.folder / name for name in ("features", "lightgbm", *taught)}
        for link in self.folder.iterdir():  # what an earlier version shared
            if link.is_symlink() and link.name not in shared:
                link.unlink()
        for name, target in shared.items():
            fingerprint_of(target)  # is it finished?
            _link(self.folder / name, target.resolve())

    def inputs(self, home: Workspace) -> str:
        """A fingerprint of everything that decides the cell's result."""
        settings = {name: value for group in self.settings() for name, value in asdict(group).items()}
        del settings["report_to"]  # decides no result
        found = {"data": fingerprint_of_tables(home.data), "encoder": home.encoder_fingerprint()}
        if self.system != RANDOM_ENCODER:
            made = ("level_prob", "behaviours", *(["replay"] if is_ours(self.system) else []))
            found |= {name: fingerprint_of(home.folder / name) for name in made}
        steps = SOURCES if is_ours(self.system) else (*SEEDLESS, "features")
        modules = [name for step in steps for name in SOURCES[step]] + ([] if is_ours(self.system) else [RIVALS])
        return fingerprint_inputs(self.name, {**settings, **found, "code": code_of(main, modules)})

    def seconds(self, inputs: str | None = None) -> float | None:
        """How long the finished cell took; None if it is not finished, or was made from other `inputs`."""
        try:
            mark = json.loads((self.bench / f".{self.name}.{MARK}").read_text(encoding="utf-8"))
            if mark["result"] == fingerprint_of(self.result) and inputs in (None, mark["inputs"]):
                return float(mark["seconds"])
        except (OSError, ValueError, KeyError, PrectrError):
            pass
        return None

    def mark_finished(self, inputs: str, seconds: float) -> None:
        mark = {"inputs": inputs, "result": fingerprint_of(self.result), "seconds": round(seconds, 1)}
        with atomic_write(self.bench / f".{self.name}.{MARK}") as temporary:
            temporary.write_text(json.dumps(mark), encoding="utf-8")


def main(argv: list[str]) -> None:
    """Train, in this process, the cell that `Cell.command` names."""
    system, *flags = argv
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    workspace = Workspace(*parse_arguments(ARGUMENTS, CONFIGS, flags))
    workspace.command = shareable_command("python -m benchmarks.ranker.cell", argv)
    if is_ours(system):
        build_all(workspace)
        return
    build_inputs(workspace)
    from benchmarks.rivals.fit import SYSTEMS, fit_and_score

    seed, rival = workspace.run.seed, SYSTEMS[system]
    inputs = {
        "features": fingerprint_of(workspace.folder / "features"),
        "settings": [dict(setting) for setting in rival.settings],
        "chosen_by": rival.chosen_by,
        "seed": seed,
    }
    folder = Path(workspace.run.artifacts) / f"{system}-seed{seed}"
    run_step(folder.name, folder, inputs, partial(fit_and_score, system, workspace, seed), sources=[RIVALS])


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        if link.readlink() == target:
            return
        link.unlink()
    elif link.exists():
        raise PrectrError(f"{link} is in the way of a link to {target}; remove it.")
    link.symlink_to(target, target_is_directory=True)


if __name__ == "__main__":
    run_main(main)
