"""How preparation and training of stage two grow with the log: `python -m benchmarks.scale`."""
