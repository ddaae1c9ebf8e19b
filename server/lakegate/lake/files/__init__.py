"""The files of a table: data files, manifests, their names."""
