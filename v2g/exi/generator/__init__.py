"""Compiles the XSDs of a V2G schema set to Python: `python -m v2g.exi.generator --schemas FOLDER`."""
