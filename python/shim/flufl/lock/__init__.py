"""flufl.lock's name for `linklock.flufl`."""

import sys

import linklock.flufl
import linklock.flufl._lockfile

sys.modules[__name__] = linklock.flufl
sys.modules[f"{__name__}._lockfile"] = linklock.flufl._lockfile
