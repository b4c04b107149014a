"""Asyncio shells of the V2G language: SDP, TCP, TLS, both roles. The core never imports it."""
