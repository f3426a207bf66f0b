"""Building blocks over tf.nn and tf.math, right to second order."""
