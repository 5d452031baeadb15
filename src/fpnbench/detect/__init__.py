"""Detectors: backbone, pyramid, predictor, assignment and losses."""
