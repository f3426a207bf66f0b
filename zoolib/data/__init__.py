"""Where examples come from: random numbers as data, task distributions, image folders."""
