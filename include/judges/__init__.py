"""Judges without a model: classes that `model.judge` of a pipeline's file names."""
