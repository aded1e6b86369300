"""Orchestration of streams over ports; knows no concrete adapter."""
