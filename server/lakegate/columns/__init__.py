"""The types of columns: their names, their Arrow types, and what JSON they take."""
