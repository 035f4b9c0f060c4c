"""Connections that are being linked step by step: entered, checked, chosen from, and only then kept."""
