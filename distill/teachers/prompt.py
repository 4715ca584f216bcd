"""The question put to the teacher: a text file with two placeholders and one word per relevance level."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from prectr.distill.teachers.level_words import LevelWords
from prectr.shared.encoder.level_encoder import CHARACTERS_PER_TOKEN
from prectr.shared.errors import PrectrError
from prectr.shared.text_file import read_text

FOLDER = Path(__file__).parents[1] / "prompts"

BLANKS = ("▁", "Ġ")
"""How vocabularies write a space."""

ANCHORS = ("\n", ":", ".", "a", "0")
"""Put in front of a text that is to be tokenised as within a longer one; the first that does not grow into it is taken.
"""


@dataclass(frozen=True)
class Prompt:
    """A prompt file's contents: the template cut at its placeholders, examples in front, and the level words, lowest
    level first.
    """

    before: str
    between: str
    after: str
    words: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Changes with every character that reaches the teacher."""
        return hashlib.sha256(repr((self.before, self.between, self.after, self.words)).encode()).hexdigest()

    def render(self, query: str, item_text: str) -> str:
        """The whole prompt as text, for teachers that tokenise themselves."""
        return f"{self.before}{one_line(query)}{self.between}{one_line(item_text)}{self.after}"


def prompt_file(name: str) -> Path:
    """Where a prompt stands: the file `name`, or `distill/prompts/<name>.txt`."""
    return Path(name) if Path(name).suffix == ".txt" else FOLDER / f"{name}.txt"


def read_prompt(name: str, num_levels: int | None) -> Prompt:
    """Reads `distill/prompts/<name>.txt`, or the file `name`.

    A header of `levels: word | word` and any number of `example: query | item | level word` lines, a line `---`, the
    prompt. Examples stand in front of the question, each as the prompt itself with its level word behind it.

    Args:
        num_levels: K of the data; None where no teacher reads the prompt, and any number of words will do.

    Raises:
        PrectrError: no such file or none of text, a header line that is neither, a placeholder missing or out of order,
            not one word per level, or an example with a level word there is not.
    """
    path = prompt_file(name)
    known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.txt")))
    text = read_text(path, f"no such prompt; name one of {known}, or a .txt file.")
    header, dashes, template = text.partition("\n---\n")
    lines = list(enumerate(header.splitlines(), start=1))
    settings = [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]
    levels = [line for _, line in settings if line.startswith("levels:")]
    examples = [(number, line) for number, line in settings if line.startswith("example:")]
    if not dashes or len(levels) != 1 or len(levels) + len(examples) != len(settings):
        raise PrectrError(
            f"{path}: a prompt file is a line `levels: word | word`, lines `example: query | item | word` if any, "
            "a line `---`, then the prompt."
        )
    words = tuple(word.strip() for word in levels[0].removeprefix("levels:").split("|"))
    if num_levels is not None and len(words) != num_levels:
        raise PrectrError(
            f"{path}: {len(words)} level words, but the data has {num_levels} levels; write one word per level into a "
            "prompt of your own, and name it: --prompt my.txt."
        )
    before, query, rest = template.strip().partition("{query}")
    between, item, after = rest.partition("{item}")
    if not (query and item):
        raise PrectrError(f"{path}: the prompt needs {{query}} and, after it, {{item}}.")
    shown = [_read_example(f"{path}, line {number}", line, words) for number, line in examples]
    rendered = [f"{before}{query}{between}{item}{after} {word}\n\n" for query, item, word in shown]
    return Prompt("".join([*rendered, before]), between, after, words)


def _read_example(where: str, line: str, words: Sequence[str]) -> tuple[str, str, str]:
    query, _, rest = line.removeprefix("example:").partition("|")
    item, _, word = rest.rpartition("|")  # an item text may hold | itself
    if not (query.strip() and item.strip() and word.strip()):
        raise PrectrError(f"{where}: an example is `example: query | item | level word`; found {line.strip()!r}.")
    if word.strip() not in words:
        raise PrectrError(f"{where}: {word.strip()!r} is no level word; write one of {', '.join(words)}.")
    return query.strip(), item.strip(), word.strip()


class PromptEncoder:
    """Token ids of whole prompts. Texts are tokenised apart from the template, so a long one is cut without losing
    the question.

    Args:
        prompt, tokenizer: the question and the teacher's tokenizer.
        query_tokens, item_tokens: tokens kept of each text.

    What is tokenised apart gets the tokens it has in the whole prompt: where a tokenizer puts a blank in front of all
    it is given (Llama 2, Mistral), only the prompt's first piece has it.

    Raises:
        PrectrError: two level words are the same tokens, or one cannot be written in this vocabulary.
    """

    def __init__(self, prompt: Prompt, tokenizer: PreTrainedTokenizerBase, query_tokens: int, item_tokens: int) -> None:
        self.prompt, self.tokenizer = prompt, tokenizer
        self.query_tokens, self.item_tokens = query_tokens, item_tokens
        # A space before a placeholder belongs to the first word after it, as in running text.
        self.query_space, self.item_space = _trailing_space(prompt.before), _trailing_space(prompt.between)
        start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        # Some vocabularies begin every text with a blank, which inside of a text would be one too many.
        begun = tokenizer.convert_ids_to_tokens(self._plain_ids("\n"))[:1]
        self.adds_blank = "".join(begun).startswith(BLANKS)
        self.before = start + self._plain_ids(prompt.before.removesuffix(self.query_space))
        self.between = self._ids(prompt.between.removesuffix(self.item_space))
        written = [self._ids(f" {word}") for word in prompt.words]
        self.levels = LevelWords.of(prompt.words, written, tokenizer.unk_token_id)
        self.after = [*self._ids(prompt.after), *self.levels.common]
        self._text_ids = lru_cache(maxsize=100_000)(partial(self._ids, plain=True))

    def __call__(self, query: str, item_text: str) -> list[int]:
        beginning, ending = self.split(query, item_text)
        return [*beginning, *ending]

    def split(self, query: str, item_text: str) -> tuple[list[int], list[int]]:
        """The prompt in two: up to the item, which is the same for all items of a query, and from there on."""
        query = one_line(query)[: CHARACTERS_PER_TOKEN * self.query_tokens]
        item_text = one_line(item_text)[: CHARACTERS_PER_TOKEN * self.item_tokens]
        query_ids = self._text_ids(self.query_space + query)[: self.query_tokens]
        item_ids = self._text_ids(self.item_space + item_text)[: self.item_tokens]
        return [*self.before, *query_ids, *self.between], [*item_ids, *self.after]

    @property
    def level_ids(self) -> list[int]:
        """The token each level's word ends in, which for a word of one token is the word."""
        return self.levels.ends

    @property
    def habits(self) -> tuple[object, ...]:
        """What decides a judgement beside the prompt; empty where every level is one token and no blank is added, as
        labels of earlier versions were made.
        """
        is_usual = self.levels.is_plain and not self.levels.common and not self.adds_blank
        return () if is_usual else (self.levels, self.adds_blank)

    def _ids(self, text: str, plain: bool = False) -> list[int]:
        """Tokens of a text that stands within the prompt, as they are there."""
        if self.adds_blank and text:
            for anchor in ANCHORS:
                front, whole = self._plain_ids(anchor), self._plain_ids(anchor + text, plain)
                if whole[: len(front)] == front:
                    return whole[len(front) :]
        return self._plain_ids(text, plain)

    def _plain_ids(self, text: str, plain: bool = False) -> list[int]:
        """`plain` reads `<eos>` in a text as five letters, not as the teacher's own sign."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=plain)["input_ids"]
        return ids


def one_line(text: str) -> str:
    """The text without line breaks of any kind, with which it could pretend to be a line of the prompt."""
    return " ".join(text.splitlines())


def _trailing_space(text: str) -> str:
    return " " if text.endswith(" ") else ""


def padded_length(length: int, multiple: int = 8) -> int:
    """Few distinct lengths: the arithmetic library builds a kernel for every new shape."""
    return -(-length // multiple) * multiple


def pad(prompts: Sequence[Sequence[int]], length: int, filler: int) -> tuple[np.ndarray, np.ndarray]:
    """Right-padded ids [n, length] int64 and each prompt's last position [n].

    A causal model never looks right, so padding needs no attention mask.
    """
    ids = np.full((len(prompts), length), filler, dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt
    return ids, np.array([len(prompt) - 1 for prompt in prompts])
