"""More than one process at one address: the parent, which starts and replaces them, and what each of them does."""
