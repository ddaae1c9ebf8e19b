"""The servicers: one module for each service."""
