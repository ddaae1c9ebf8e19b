"""What a request says: headers, its body, and whether that is whole."""
