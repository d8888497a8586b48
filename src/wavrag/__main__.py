"""`python -m wavrag`."""

import sys

from wavrag.cli import main

sys.exit(main())
