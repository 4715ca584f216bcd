"""What labelling costs: pairs a second against the plain way, and whether an endpoint says what a local model does."""
