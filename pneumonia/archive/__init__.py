"""Answers as DICOM objects, written into the study of the film that they are of."""
