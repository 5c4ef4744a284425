"""Options of models, of trainings and of generation."""
