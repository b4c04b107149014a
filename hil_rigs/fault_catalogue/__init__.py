"""One catalogue of everything that can be broken on purpose; the faults live beside what they break."""
