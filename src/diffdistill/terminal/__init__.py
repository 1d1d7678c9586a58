"""What a run of the workflow shows on the terminal; a logger plugin of Snakemake."""
