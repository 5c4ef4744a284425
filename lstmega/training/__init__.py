"""Steps, learners and the training loop; needs TensorFlow."""
