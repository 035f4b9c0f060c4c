"""Measurements, each of two sides in one run: figures of one side alone say more about the machine."""
