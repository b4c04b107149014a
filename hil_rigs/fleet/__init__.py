"""Many stations in virtual time against one CPO, and the proof that nothing was lost or took effect twice."""
