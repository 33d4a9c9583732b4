"""Entry point of ``iotop-ng`` and ``python -m iotop_ng``."""

from iotop_ng.cli.main import main

if __name__ == "__main__":
    main()
