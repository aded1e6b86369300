"""The proof that a stream survives its connection and its process: `make chaos`."""
