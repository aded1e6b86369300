"""Tokenferry, a self-hosted real-time gateway between programs and language models."""

__version__ = "0.1.0"
