"""GAUC: AUC within each page or user."""
