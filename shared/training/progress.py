"""A training on the terminal: a bar of its steps, and lines with its losses."""

from contextlib import ExitStack
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from prectr.shared.run.console import print_line, progress_bar


class ProgressBar(TrainerCallback):
    """A bar of a `Trainer`'s steps, with a line for the losses whenever they are logged.

    Args:
        description: what is trained, in a word or two.
        until: closes the bar, also when the training fails.
    """

    def __init__(self, description: str, until: ExitStack) -> None:
        self.description, self.until = description, until

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        done = state.global_step  # by a killed run: no part of this one's rate
        from_step = f", from step {done:,}" if done else ""
        bar = progress_bar(self.description + from_step, state.max_steps - done, "steps")
        self.advance = self.until.enter_context(bar) if state.is_world_process_zero else lambda steps: None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.advance(1)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        losses = losses_in(logs or {})
        if losses and state.is_world_process_zero:
            print_line(f"{self.description}, step {state.global_step:,} of {state.max_steps:,}: {losses}")


def losses_in(logs: dict[str, float]) -> str:
    """What a line says of a `Trainer`'s logs: the loss in training or validation, and the parts of it; empty if the
    logs are about something else.
    """
    if "eval_loss" in logs:
        return f"validation loss {logs['eval_loss']:.4f}"
    if "loss" not in logs:
        return ""
    parts = {name: value for name, value in logs.items() if name not in ("grad_norm", "learning_rate", "epoch")}
    return ", ".join(f"{name} {value:.4f}" for name, value in parts.items())
