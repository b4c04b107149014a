"""One report of a run as a sequence: who said what to whom, decoded, with the verdict on every signature."""
