"""Measurements of determinism and speed, as commands: python -m pipeline_utils.bench."""
