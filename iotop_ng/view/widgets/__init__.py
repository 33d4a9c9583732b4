"""Thin widgets: they are handed frames and lines, and draw them."""
