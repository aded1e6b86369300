"""Adapters to language-model providers."""
