"""Answers to figures: metrics, calibration, reports and plots."""
