"""Who may do what: tokens, where they are kept, and what they allow."""
