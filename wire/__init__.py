"""Sans-IO codecs of serial protocols that a driver and a simulator both speak."""
