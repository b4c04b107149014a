"""Certificate authorities of Plug & Charge: issuing by profiles, EST, OCSP, CRLs, revocation status."""
