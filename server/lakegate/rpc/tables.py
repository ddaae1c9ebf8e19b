"""TableService: makes and describes tables."""
