"""Distil a labelled image data set into a small synthetic one, by a class-conditional diffusion model."""

__version__ = "0.1.0"
