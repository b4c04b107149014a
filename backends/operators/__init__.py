"""The actors of a charging business, each operable alone: CPO, MO, OEM, roaming hub."""
