"""Pure rules: no I/O, no clock, no randomness; what they need comes in as arguments."""
