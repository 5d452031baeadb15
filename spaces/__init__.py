"""Search spaces: one file per paper."""
