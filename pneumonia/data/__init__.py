"""A folder of labelled images to arrays: patients, splits, stress."""
