"""Signal -> Shape: a curve described once, for every rule, the report and the chart."""
