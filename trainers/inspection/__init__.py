"""Looking at files and folders: a module for each kind of them."""
