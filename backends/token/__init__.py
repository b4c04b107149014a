"""The token service: OAuth2 client credentials in, RS256 JWT out."""
