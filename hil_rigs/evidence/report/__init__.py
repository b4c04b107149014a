"""report.html: one file that anyone can open, without network and without scripts."""
