"""What labelling costs: pairs a second, and what an endpoint says differently."""
