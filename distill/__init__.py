"""Stage one: a large language model's relevance judgement, distilled into a light text encoder."""
