"""The charge point's end of OCPP 2.0.1 and 1.6 (JSON over WebSocket)."""
