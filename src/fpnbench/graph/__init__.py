"""Architectures as plain data: decisions, ops, genotypes, their canonical form and cost."""
