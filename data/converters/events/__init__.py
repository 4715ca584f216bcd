"""A log as a stream of events: searches with what they returned, and what was done after them."""
