"""`prectr data|distill|rank VERB …`: the same as `python -m data|distill|rank VERB …` in a checkout."""

import sys
from importlib import import_module

STAGES = {
    "data": "build, convert and check tables",
    "distill": "stage one: from a language model to a light text encoder",
    "rank": "stage two: the ranker, its scores and its report",
}


def main() -> None:
    """The console script `prectr`."""
    stage, *rest = sys.argv[1:] or ["--help"]
    if stage in ("-h", "--help"):
        print("usage: prectr STAGE VERB [--SETTING VALUE]…\n")
        print("\n".join(f"  {name:8}{what}" for name, what in STAGES.items()))
        print("\nThe verbs of a stage, a line each: prectr STAGE")
        return
    if stage not in STAGES:
        print(f"error: prectr {stage}: unknown stage; use {', '.join(STAGES)}.", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [f"prectr {stage}", *rest]
    import_module(f"prectr.{stage}.__main__").run()


if __name__ == "__main__":
    main()
