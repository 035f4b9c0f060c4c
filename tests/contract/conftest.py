"""Rules that are broken say what they compared."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.contract.rules", "tests.contract.source_rules", "tests.contract.sameness")
