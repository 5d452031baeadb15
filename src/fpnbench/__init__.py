"""Compare search spaces for feature pyramids against search algorithms."""
