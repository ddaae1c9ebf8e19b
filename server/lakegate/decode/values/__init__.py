"""JSON values: their texts, columns of them, and casts to the types of columns."""
