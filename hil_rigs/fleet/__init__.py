"""Many stations in virtual time against one CPO and one set of pools: proof that nothing is lost or done twice."""
