"""The published encoder's folder: the only thing between the two stages."""
