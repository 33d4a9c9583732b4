"""From frames to actions: pure, without clock and I/O."""
