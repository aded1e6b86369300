"""Adapters to storage."""
