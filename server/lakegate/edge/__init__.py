"""Envoy as a part of Lakegate: its process, and the files that it reads."""
