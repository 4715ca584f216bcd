"""How well a judge of relevance judges pairs it has not seen.

A judge is a teacher, the student or a rival; nothing here trains.
"""
