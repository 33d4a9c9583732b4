"""A small deterministic world to try policies on: writers, a page cache, one device, a victim."""
