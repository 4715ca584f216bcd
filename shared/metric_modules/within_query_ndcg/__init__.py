"""NDCG within each query or page."""
