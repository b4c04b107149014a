"""The station's side of V2G sessions (SECC), joined with pilot, contactor, meter and charging transaction."""
