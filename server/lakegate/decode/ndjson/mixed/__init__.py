"""Rows of any mix of fields, read by regular expressions and proven."""
