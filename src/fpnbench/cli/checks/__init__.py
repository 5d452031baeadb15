"""The checks of `mode=check`: one file each, `run(cfg) -> list[Bar]`."""
