"""Speed, measured with both sides in one run: `make bench`."""
