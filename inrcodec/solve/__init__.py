"""Equations instead of samples: a network is fitted until it solves one, and written as a field."""
