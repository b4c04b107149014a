"""Scenarios: what is done to a rig, what is broken on purpose, and what has to be seen for it, and where."""
