"""iotop-ng: top for I/O on Linux."""

__version__ = "0.1.0"
