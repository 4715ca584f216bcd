"""What both stages need and nothing else: settings, run folders, metrics, console, seeds, the published encoder."""
