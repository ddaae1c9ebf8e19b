"""The command `lakegate`."""
