"""Run directories, and the jobs that make them."""
