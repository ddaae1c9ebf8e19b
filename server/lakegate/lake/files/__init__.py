"""The files of a table: data files and manifests, and their names."""
