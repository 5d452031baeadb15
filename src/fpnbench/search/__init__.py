"""The search: trials, searchers' protocol, budget, ledger and the loop."""
