"""Arrow IPC bodies: what a stream claims is checked before it is read."""
