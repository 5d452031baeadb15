"""Searchers: one file per algorithm."""
