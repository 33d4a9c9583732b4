"""Carry actions out, and take back everything that was done."""
