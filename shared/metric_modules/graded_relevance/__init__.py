"""Predicted probabilities of relevance levels against gold levels."""
