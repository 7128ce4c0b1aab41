"""What the library offers by name: one table for each family.

Each module here is the table of one family: names, the object behind each, its
settings. Flags, checks, `--help`, model cards and the documentation read the
tables. Nothing in this package imports TensorFlow, so that a command line is
checked at once; the object behind a name is imported when it is asked for.
"""
