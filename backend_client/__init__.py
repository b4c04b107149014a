"""Speak to backends."""
