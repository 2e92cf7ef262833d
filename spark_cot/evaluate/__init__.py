"""How good a model is: scores and calibration against truth."""
