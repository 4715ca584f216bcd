"""How well a judge of relevance judges pairs it has not seen: one set of figures for teacher, student and baselines.

Where the student ends and is judged beside all others; nothing learns here.
"""
