"""Judges of relevance side by side: teacher, student, and what others would use."""
