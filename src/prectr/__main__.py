"""`prectr data|distill|rank VERB …`: the same as `python -m data|distill|rank VERB …` in a checkout."""

import difflib
import sys
from importlib import import_module

STAGES = {
    "data": "build, convert and check tables",
    "distill": "stage one: from a language model to a light text encoder",
    "rank": "stage two: the ranker, its scores and its report",
}


def main(program: str = "prectr") -> None:
    """The console script `prectr`; `program` is how it was called."""
    stage, *rest = sys.argv[1:] or ["--help"]
    if stage in ("-h", "--help"):
        print(f"usage: {program} STAGE VERB [--SETTING VALUE]…\n")
        print("\n".join(f"  {name:9}{what}" for name, what in STAGES.items()))
        print(f"\nThe verbs of a stage, a line each: {program} STAGE")
        return
    if stage not in STAGES:
        closest = difflib.get_close_matches(stage, STAGES, n=1, cutoff=0.0)[0]
        print(f"error: {program} {stage}: unknown stage; did you mean {closest!r}?", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [f"{program} {stage}", *rest]  # what help and messages call the command
    import_module(f"prectr.{stage}.__main__").run()


if __name__ == "__main__":
    main("python -m prectr")
