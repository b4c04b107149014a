"""The roaming hub between charge point operators and mobility operators (OICP 2.3)."""
