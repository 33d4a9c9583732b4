"""Settings: defaults < configuration file < environment < flags, and where each came from."""

from iotop_ng.config.layers import load
from iotop_ng.config.settings import Settings

__all__ = ["Settings", "load"]
