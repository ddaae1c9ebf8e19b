"""Bodies that are tables already: their columns fitted to those of the table."""
