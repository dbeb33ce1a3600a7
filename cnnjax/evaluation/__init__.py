"""Using trained networks: exact evaluation and prediction. Imports no training code."""
