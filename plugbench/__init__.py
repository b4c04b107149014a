"""The command: parses arguments and wires the parts; holds no logic."""
