"""What Keras calls epsilon()."""

# How far norms, divisors, probabilities and deviations are kept from zero.
EPSILON = 1e-7
