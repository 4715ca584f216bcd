"""QWK: agreement of ordered levels."""
