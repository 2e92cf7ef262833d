"""A workspace and the models for analysts: tables as Arrow, pandas, xarray or Spark; `predict`."""
