"""A teacher's assistant: a cross-encoder that learns what the teacher said, then the gold levels, and judges the same
pairs anew; the student learns from it in the teacher's place.

A small student follows a large or a very different judge poorly. One in between reads query and item together, as the
student cannot, and hands on what it made of the teacher's labels [O; after Mirzadeh et al., AAAI 2020, arXiv
1902.03393].
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from prectr.distill.config import TeacherArguments
from prectr.distill.models.sources import Source
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement
from prectr.distill.teachers.cross_encoder import CrossEncoderTeacher, finetune_cross_encoder, training_settings
from prectr.distill.teachers.dtype import reads_bf16
from prectr.distill.teachers.panel import learnt


def assistant_inputs(source: Source, arguments: TeacherArguments) -> dict[str, Any]:
    """What decides what an assistant learns, beside labels, gold and seed, as JSON values."""
    settings = {name: value for name, value in asdict(arguments).items() if name.startswith("cross_encoder_")}
    settings["dtype"] = arguments.teacher_dtype  # as set: another machine does not teach it again
    settings["unrelated_share"] = arguments.unrelated_share
    return {"assistant": source.identity, "epochs": arguments.assistant_epochs, **settings}


def teach_assistant(
    location: str,
    num_levels: int,
    labels: tuple[Pairs, Judgement],
    gold: Pairs,
    validation: Pairs,
    arguments: TeacherArguments,
    seed: int,
    work: Path,
) -> None:
    """Trains the encoder at `location` on `labels`, then on `gold`, all of it; of the epochs of either the one with the
    lowest loss on `validation` is kept. `work` becomes an ordinary cross-encoder's folder.
    """
    finetune_cross_encoder(
        location,
        num_levels,
        gold,
        validation,
        soft=labels,
        soft_epochs=arguments.assistant_epochs,
        seed=seed,
        work=work,
        **training_settings(arguments),
    )


def open_assistant(folder: Path, arguments: TeacherArguments, batch_size: int) -> CrossEncoderTeacher:
    """The judge that `teach_assistant` left in `folder`, known by what it learnt."""
    return CrossEncoderTeacher(
        str(folder),
        max_length=arguments.cross_encoder_length,
        batch_size=batch_size,
        bf16=reads_bf16(arguments),
        identity=learnt(folder),
    )
