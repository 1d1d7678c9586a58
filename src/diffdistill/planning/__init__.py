"""What the rules of the workflow ask: which files a job reads, and with which settings its stage runs.

Everything follows from config.yaml and the wildcards of a rule. No torch is imported, so that a dry run is fast.
"""
