"""Client of the Tokenferry gateway: streams of language models that survive their connection."""

from tokenferry_client.client import Client, Stream
from tokenferry_client.events import (
    Chunk,
    Done,
    ErrorInfo,
    Event,
    Failed,
    Rewind,
    Snapshot,
    Started,
)
from tokenferry_client.link import LinkOptions

__version__ = "0.1.0"
__all__ = [
    "Chunk",
    "Client",
    "Done",
    "ErrorInfo",
    "Event",
    "Failed",
    "LinkOptions",
    "Rewind",
    "Snapshot",
    "Started",
    "Stream",
]
