"""One front for teachers of every kind: trains what can be trained, calibrates the rest, and opens one or several as a
single `Teacher`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from prectr.distill.config import TeacherArguments
from prectr.distill.models.output_names import output_order
from prectr.distill.models.sources import ADAPTER_FILES, BATCH, Source, find_adapter
from prectr.distill.pairs import Pairs, no_pairs
from prectr.distill.sheet import Sheet, save_said
from prectr.distill.teachers.base import Judgement, Teacher
from prectr.distill.teachers.batch.teacher import open_batch
from prectr.distill.teachers.calibration import CalibratedTeacher, Calibration
from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.cross_encoder import CrossEncoderTeacher, finetune_cross_encoder, training_settings
from prectr.distill.teachers.dtype import reads_bf16, resolved_dtype
from prectr.distill.teachers.endpoint import open_endpoint
from prectr.distill.teachers.ensemble import EnsembleTeacher, fit_weights, pooled, read_weights, save_weights
from prectr.distill.teachers.lora import finetune
from prectr.distill.teachers.prompt import Prompt
from prectr.distill.teachers.similarity import SimilarityTeacher, teach_similarity
from prectr.distill.unrelated import with_unrelated
from prectr.shared.errors import PrectrError
from prectr.shared.pretrained import open_config
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.ranges import COUNT
from prectr.shared.run.steps import RECORD, fingerprint_of

CALIBRATION, WEIGHTS, SAID = "calibration.json", "ensemble.json", "said.npz"

TAUGHT = "the taught teacher"
"""In `SAID`: all members together. One of several is `taught <name>`, and what it was before `untaught <name>`."""

SETTINGS = {
    "causal": ("teacher_", "lora_", "unrelated_share", "labeller_pairs"),
    "cross_encoder": ("teacher_", "cross_encoder_", "unrelated_share", "labeller_pairs"),
    "similarity": (
        *("teacher_pairs", "teacher_validation_pairs", "teacher_test_pairs", "teacher_dtype"),
        *("unrelated_share", "labeller_pairs"),
    ),
    "endpoint": (
        *("teacher_query_tokens", "teacher_item_tokens", "labeller_pairs"),
        *("teacher_calibration_pairs", "teacher_validation_pairs", "teacher_test_pairs"),
        *("endpoint_model", "endpoint_top_logprobs", "endpoint_chat_template"),
    ),
}
"""How the names of those settings begin that decide what a teacher says, by its role."""

LEARNT = ("*.safetensors", "*.json", "trees-*.txt")
NOT_LEARNT = ("metrics.json", RECORD)
"""Files that hold what a teacher learnt: adapter, model and tokenizer, trees, calibration, weights of an ensemble. And
those among them that only tell of it.
"""


@dataclass(frozen=True)
class Panel:
    """The judges, one or several, and how they are asked.

    Args:
        sources: what `find_teachers` found.
        locations: where each is opened from, after `convert_teacher`.
        prompt: the question to causal models and endpoints.
        level_names: of the K levels, lowest first.
        arguments: the settings.
        batch_size: pairs per forward pass.
        texts: items and training queries; what `similarity` weighs words by.
        unrelated: gives the sampled pairs of level 0 that are taught beside gold.
        under_way: folder of notes of batches that a server works on.
    """

    sources: Sequence[Source]
    locations: Sequence[str]
    prompt: Prompt
    level_names: Sequence[str]
    arguments: TeacherArguments
    batch_size: int
    texts: Sequence[str] = ()
    unrelated: Callable[[], Pairs] = no_pairs
    under_way: Path = Path("batches")

    @property
    def num_levels(self) -> int:
        return len(self.level_names)

    @property
    def names(self) -> list[str]:
        """Of the members."""
        return [source.name for source in self.sources]

    def order(self, member: int) -> list[int] | None:
        """The output of each level of a cross-encoder that is used as it comes; None where output k is level k."""
        if self.arguments.teacher_pairs:
            return None
        return output_order(self.sources[member], self.level_names, self.arguments.level_names)

    @property
    def inputs(self) -> dict[str, Any]:
        """All that decides what is learnt and said, besides the pairs and the seed, as JSON values."""
        decisive = tuple(name for source in self.sources for name in SETTINGS[source.role])
        settings = {name: value for name, value in asdict(self.arguments).items() if name.startswith(decisive)}
        for name, read in (("teacher_adapter", find_adapter), ("endpoint_chat_template", file_fingerprint)):
            if settings.get(name):
                settings[name] = read(settings[name])
        identities = [source.identity for source in self.sources]
        prompt = self.prompt.fingerprint
        orders = [self.order(member) for member in range(len(self.sources))]
        ordered = {"outputs": orders} if any(orders) else {}
        return {"teacher": identities, "prompt": prompt, "batch_size": self.batch_size, **settings, **ordered}

    def folder(self, taught: Path, member: int) -> Path:
        """What was learnt by a member: `taught` itself, or one folder each of an ensemble."""
        return taught if len(self.sources) == 1 else taught / self.sources[member].name


def teach(panel: Panel, train: Pairs, validation: Pairs, seed: int, work: Path) -> None:
    """Teaches every member on gold pairs and, if there are several, weighs them; `open_teacher` reads the result.

    A causal model learns by LoRA (or takes `teacher_adapter` as it is), a cross-encoder is fine-tuned and a judge of
    likeness grows its trees, on `teaching_pairs`. Endpoints, and the first two where `teacher_pairs` is 0,
    are calibrated on `teacher_calibration_pairs` of `train`. Weights are fitted on `validation`; without it all count
    alike. What all of them say of the `Sheet` of validation pairs, taught and untaught, is kept in `SAID`. A member of
    an ensemble that is finished in `work` is not taught again.
    """
    for member in range(len(panel.sources)):
        folder = panel.folder(work, member)
        if folder == work:
            _teach_member(panel, member, train, validation, seed, work)
        elif not folder.is_dir():
            unfinished = folder.with_name(f".{folder.name}.part")
            unfinished.mkdir(exist_ok=True)
            _teach_member(panel, member, train, validation, seed, unfinished)
            shutil.rmtree(unfinished / "checkpoints", ignore_errors=True)
            unfinished.rename(folder)
    if len(validation) and not (work / SAID).is_file():
        sheet = sheet_of(panel, train, validation, seed)
        members = [open_member(panel, member, work, "") for member in range(len(panel.sources))]
        taught = [judge.score(sheet.asked).log_odds for judge in members]
        names = panel.names
        said = {TAUGHT: taught[0]}
        if len(names) > 1:
            weights = fit_weights([found[: len(sheet)] for found in taught], sheet.graded.level)
            save_weights(work / WEIGHTS, names, weights)
            said = {TAUGHT: pooled(taught, weights)}
            said |= {f"taught {name}": found for name, found in zip(names, taught, strict=True)}
        for member, name in enumerate(names):
            if untaught := open_untaught_member(panel, member):
                said[f"untaught {name}"] = untaught.score(sheet.asked).log_odds
        save_said(work / SAID, said)


def sheet_of(panel: Panel, train: Pairs, validation: Pairs, seed: int) -> Sheet:
    """What judges are compared by."""
    return Sheet.draw(train, validation, panel.arguments.labeller_pairs, seed)


def teaching_pairs(panel: Panel, train: Pairs, seed: int, budget: int = COUNT) -> Pairs:
    """What a teacher learns from: gold pairs and unrelated ones, `teacher_pairs` or `budget` of them at most."""
    arguments = panel.arguments
    gold = train.sample(len(train), seed, "teacher")
    most = min(arguments.teacher_pairs, budget)
    return with_unrelated(gold, panel.unrelated(), arguments.unrelated_share, most)


def open_teacher(panel: Panel, taught: Path | None, identity: str) -> Teacher:
    """The teacher as `teach` left it in `taught`, or as it comes (None; several then weigh the same).

    Args:
        identity: of what `taught` holds (`learnt`), for the fingerprint.

    Raises:
        PrectrError: a cross-encoder or a similarity judge that has not learnt to say K levels.
    """
    members = [open_member(panel, member, taught, identity) for member in range(len(panel.sources))]
    if len(members) == 1:
        return members[0]
    if taught is not None and (taught / WEIGHTS).is_file():
        return EnsembleTeacher(members, read_weights(taught / WEIGHTS))
    return EnsembleTeacher(members, [1 / len(members)] * len(members))


def open_untaught(panel: Panel) -> Teacher | None:
    """The teacher before `teach`; None where one of its members could not say levels then (`open_untaught_member`)."""
    if any(source.role != "causal" and source.outputs != panel.num_levels for source in panel.sources):
        return None
    members = [open_untaught_member(panel, member) for member in range(len(panel.sources))]
    known = [member for member in members if member is not None]
    if len(known) < len(members):
        return None
    return known[0] if len(known) == 1 else EnsembleTeacher(known, [1 / len(known)] * len(known))


def open_untaught_member(panel: Panel, member: int) -> Teacher | None:
    """A member before `teach`, to be compared with what became of it; it may give one number instead of levels. None
    where nothing is taught, where it cannot judge before, and where asking is paid for.
    """
    arguments, source = panel.arguments, panel.sources[member]
    can_judge = source.role == "causal" or (source.role == "cross_encoder" and source.outputs in (1, panel.num_levels))
    if not can_judge or not (arguments.teacher_pairs or arguments.teacher_adapter):
        return None
    try:
        return _open_bare(replace(panel, arguments=replace(arguments, teacher_pairs=0)), member, None, "")
    except PrectrError:  # its outputs are called otherwise than the levels, which teaching mends
        return None


def learnt(taught: Path) -> str:
    """sha256 of what `teach` left in `taught`, by content: a teacher that learns the same again is the same teacher,
    however it was then examined, and its labels are found again.
    """
    # In the folder itself and in those of an ensemble's members; checkpoints lie deeper.
    found = (file for pattern in LEARNT for where in (pattern, f"*/{pattern}") for file in taught.glob(where))
    names = sorted(file.relative_to(taught).as_posix() for file in found if file.name not in NOT_LEARNT)
    contents = "".join(f"{name}:{file_fingerprint(taught / name)}\n" for name in names)
    return hashlib.sha256(contents.encode()).hexdigest()


def ask(teacher: Teacher, pairs: Pairs) -> tuple[Pairs, Judgement]:
    """Those of `pairs` that `teacher` could judge, and its judgement of them."""
    if not len(pairs):
        return pairs, Judgement(np.zeros((0, 0), np.float32))
    judgement = _score(teacher, pairs)
    judged = np.flatnonzero(np.isfinite(judgement.log_odds).all(1))
    return pairs.take(judged), Judgement(judgement.log_odds[judged])


def _teach_member(panel: Panel, member: int, train: Pairs, validation: Pairs, seed: int, work: Path) -> None:
    source, arguments = panel.sources[member], panel.arguments
    most = arguments.lora_pairs if source.role == "causal" else COUNT
    gold = teaching_pairs(panel, train, seed, most)
    unseen = validation.sample(arguments.teacher_validation_pairs, seed, "teacher", "validation")
    if source.role == "causal" and arguments.teacher_adapter:
        for file in ADAPTER_FILES:
            shutil.copyfile(Path(arguments.teacher_adapter).expanduser() / file, work / file)
    elif source.role == "causal" and len(gold):
        finetune(_open_causal(panel, member, None, ""), gold, unseen, arguments, seed, work)
    elif source.role == "cross_encoder" and len(gold):
        finetune_cross_encoder(
            panel.locations[member],
            panel.num_levels,
            gold,
            unseen,
            seed=seed,
            work=work,
            **training_settings(arguments),
        )
    elif source.role == "similarity":
        teach_similarity(
            panel.locations[member],
            panel.texts,
            gold,
            unseen,
            panel.num_levels,
            bf16=reads_bf16(arguments),
            seed=seed,
            work=work,
        )
    elif arguments.teacher_calibration_pairs and not (work / CALIBRATION).is_file():
        sample = train.sample(arguments.teacher_calibration_pairs, seed, "teacher", "calibration")
        said = _score(_open_bare(panel, member, work, ""), sample).log_odds
        Calibration.fit(said, sample.level, panel.num_levels).save(work / CALIBRATION)


def open_member(panel: Panel, member: int, taught: Path | None, identity: str) -> Teacher:
    """One member as `open_teacher` opens all of them."""
    folder = None if taught is None else panel.folder(taught, member)
    teacher = _open_bare(panel, member, folder, identity)
    if folder is not None and (folder / CALIBRATION).is_file():
        return CalibratedTeacher(teacher, Calibration.load(folder / CALIBRATION))
    if isinstance(teacher, CrossEncoderTeacher) and teacher.num_outputs != panel.num_levels:
        raise PrectrError(
            f"teacher {panel.sources[member].name}: it has {teacher.num_outputs} outputs for {panel.num_levels} levels "
            "and has learnt nothing of this data yet; run `make distill`."
        )
    return teacher


def _open_bare(panel: Panel, member: int, folder: Path | None, identity: str) -> Teacher:
    source, location, arguments = panel.sources[member], panel.locations[member], panel.arguments
    if source.role == "causal":
        return _open_causal(panel, member, folder, identity)
    if location.startswith(BATCH):
        return open_batch(location.removeprefix(BATCH), panel.prompt, arguments, panel.under_way)
    if source.role == "endpoint":
        return open_endpoint(location, panel.prompt, arguments)
    if source.role == "similarity":
        if folder is None:
            raise PrectrError(f"teacher {source.name}: it has learnt nothing of this data yet; run `make distill`.")
        bf16 = reads_bf16(arguments)
        return SimilarityTeacher(folder, location, bf16=bf16, identity=_identity(panel, member, identity))
    is_taught = folder is not None and (folder / "config.json").is_file()
    heads = [] if is_taught else open_config(location).architectures or []
    if heads and not any(name.endswith("ForSequenceClassification") for name in heads):
        raise PrectrError(
            f"teacher {source.name}: it has no outputs for {panel.num_levels} levels and has learnt nothing of this "
            "data yet; run `make distill`."
        )
    return CrossEncoderTeacher(
        str(folder) if is_taught else location,
        order=None if is_taught else panel.order(member),
        max_length=arguments.cross_encoder_length,
        batch_size=panel.batch_size,
        bf16=reads_bf16(arguments),
        identity=_identity(panel, member, identity),
    )


def _open_causal(panel: Panel, member: int, adapter: Path | None, identity: str) -> CausalTeacher:
    arguments = panel.arguments
    return CausalTeacher(
        panel.locations[member],
        panel.prompt,
        query_tokens=arguments.teacher_query_tokens,
        item_tokens=arguments.teacher_item_tokens,
        adapter=adapter,
        dtype=resolved_dtype(arguments),
        device_map=arguments.teacher_device_map,
        four_bit=arguments.teacher_4bit,
        identity=_identity(panel, member, identity),
        batch_size=panel.batch_size,
    )


def _identity(panel: Panel, member: int, taught: str) -> str:
    source = panel.sources[member]
    # A random model is made of a seed and the words of the data, which its name does not tell.
    made = [fingerprint_of(Path(panel.locations[member]))] if source.kind == "random" else []
    return json.dumps([source.identity, taught, *made], sort_keys=True)


def _score(teacher: Teacher, pairs: Pairs) -> Judgement:
    return teacher.score(list(zip(pairs.query, pairs.item_text, strict=True)))
