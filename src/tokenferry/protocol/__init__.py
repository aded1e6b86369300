"""Sans-I/O protocol: bytes in, events out, and the other way round."""
