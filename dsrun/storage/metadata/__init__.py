"""Pictures that say what they were asked for: metadata put in and taken out, pixels untouched."""
