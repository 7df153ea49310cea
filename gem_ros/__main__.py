"""``python -m gem_ros`` is ``gem-ros``."""

import sys

from gem_ros.cli import main

if __name__ == "__main__":
    sys.exit(main())
