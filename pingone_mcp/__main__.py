"""`python -m pingone_mcp` is `pingone-mcp`."""

import sys

from pingone_mcp.cli import main

sys.exit(main())
