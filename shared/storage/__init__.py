"""Tables and arrays larger than memory."""
