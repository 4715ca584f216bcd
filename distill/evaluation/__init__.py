"""How well a judge of relevance judges pairs it has not seen: one set of figures, and all judges of a run side by side.

Judgements come in and figures go out; nothing learns here, and nothing is published.
"""
