"""Training of Sentinel's compact model: `python -m train` lists the steps."""
