"""How any command runs: settings, steps, several processes, and what the terminal shows."""
