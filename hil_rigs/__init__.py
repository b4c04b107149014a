"""Rig files, virtual lines, virtual clock and network, faults."""
