"""The service over HTTP, in one process: a ranker that can be told what to do stands behind it."""
