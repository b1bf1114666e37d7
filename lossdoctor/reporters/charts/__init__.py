"""Charts: what to draw is decided by pure functions (panel), matplotlib only draws it (draw), svg makes it fit a page."""
