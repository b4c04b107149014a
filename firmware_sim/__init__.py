"""Simulated firmware of both ends of the cable, joined by the electrical plant."""
