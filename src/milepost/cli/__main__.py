"""`python -m milepost.cli`, for where the command itself is not on the path."""

import sys

from milepost.cli import main

sys.exit(main())
