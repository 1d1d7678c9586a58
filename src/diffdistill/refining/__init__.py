"""Small sets made better by matching what real images do to networks."""
