"""DICOM: what a file says of its pixels, and those as their maker meant them."""
