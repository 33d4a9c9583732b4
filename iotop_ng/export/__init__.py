"""Readers of frames that write bytes: batch text, JSON lines, CSV."""
