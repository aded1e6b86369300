"""Pictures of every page, for the documentation, taken of a running gateway."""
