"""Scripts, one for each published table or figure; their docstrings say how to run them."""
