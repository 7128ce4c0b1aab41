"""The page that explains a run's folder to whoever finds it."""
