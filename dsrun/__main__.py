"""`python -m dsrun`."""

import sys

from dsrun.cli.main import main

sys.exit(main())
