"""Settings for all tests."""

from __future__ import annotations

import os

# Before anyone imports torch: idle threads of a second core spin while another process needs it,
# and training gets up to fifty times slower (measured on two cores).
os.environ.setdefault("OMP_NUM_THREADS", "1")
