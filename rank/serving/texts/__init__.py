"""What the encoders make of texts, in memory and on disk, encoded once."""
