"""The vehicle's end: pilot behaviour, battery."""
