"""Training: the step as one graph, the data, and the loop around them."""
