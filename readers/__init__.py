"""Readers of identification media: cards at a serial or PC/SC reader, and a simulated reader."""
