"""Architectures as plain data: decisions, ops, genotypes, canonical form and cost."""
