"""Files in an object store: places named by URI, their copies here, and artifacts that are kept there.

What is read is memory-mapped, so it lies here; nothing outside of this room knows that it came from elsewhere.
"""
