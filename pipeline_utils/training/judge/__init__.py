"""Measures, sheets and the card of a trained model."""
