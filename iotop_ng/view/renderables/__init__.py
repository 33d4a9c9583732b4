"""Pure functions that turn numbers into text; no Textual, no clock, no terminal."""
