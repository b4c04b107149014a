"""What a run leaves for others: one archive that anyone can check again, offline, byte by byte."""
