"""Pyramids made by hand, as genotypes: wherever a searched cell runs, these run too."""

from spaces.handcrafted.space import Handcrafted

__all__ = ["Handcrafted"]
