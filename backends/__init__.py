"""The servers at the other end."""
