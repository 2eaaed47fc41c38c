"""`depthstream eval`: data sets whose depth is known, the figures, the contact sheet."""
