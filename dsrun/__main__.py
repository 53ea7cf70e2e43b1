"""`python -m dsrun`."""

import sys

from dsrun.cli import main

sys.exit(main())
