"""What the rooms of the house agree on: interfaces and plain data, no behaviour."""
