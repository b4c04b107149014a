"""Check signed records and keep public keys with history."""
