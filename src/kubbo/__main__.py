"""`python -m kubbo`: the command line, where no script `kubbo` is on the path."""

import sys

from kubbo.cli import main

sys.exit(main())
