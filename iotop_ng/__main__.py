"""Entry point of ``iotop-ng`` and ``python -m iotop_ng``."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the program; Ctrl-C while its modules are still being read is no traceback either."""
    try:
        from iotop_ng.cli.main import main as start  # noqa: PLC0415 - 60 ms: Ctrl-C may come

        start()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
