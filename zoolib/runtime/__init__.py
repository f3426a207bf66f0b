"""The only rooms that know which TensorFlow, which device and which precision are at work."""
