"""What layers compute with: masks, granularities, learned densities."""
