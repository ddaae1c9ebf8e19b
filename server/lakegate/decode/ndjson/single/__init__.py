"""Rows read one by one."""
