"""Units of settings."""

MIB = 1024 * 1024
