"""EXI as the V2G standards use it: codec generated from the schemas, and its run time."""
