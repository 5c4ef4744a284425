"""Train a recurrent network on any text and write with it."""
