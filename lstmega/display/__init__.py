"""Results for terminals, pages and pictures."""
