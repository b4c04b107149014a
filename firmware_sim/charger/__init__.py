"""The charging station's end: IEC 61851 pilot, contactor, lock, proximity."""
