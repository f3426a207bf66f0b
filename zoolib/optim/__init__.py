"""Optimizers, schedules and loss scaling: TF1's formulas over plain variables."""
