"""Text and labels -> ids -> batches."""
