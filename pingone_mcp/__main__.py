"""`python -m pingone_mcp` is `pingone-mcp`: where both begin, and where Ctrl-C is quiet from."""

import os
import sys


def main() -> int:
    """Run the command line, and return its exit status."""
    try:
        from pingone_mcp import interrupts  # noqa: PLC0415 - whatever takes time is loaded inside the `try`

        interrupts.quiet_from_here()
        from pingone_mcp.cli import main as run  # noqa: PLC0415 - as above

        status = run()
        if status == interrupts.INTERRUPTED:
            interrupts.end_at_once()
    except KeyboardInterrupt:
        os._exit(130)
    return status


if __name__ == "__main__":
    sys.exit(main())
