"""Whole pages: the main screen, help, settings, graph."""
