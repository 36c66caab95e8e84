"""Small projects that show one use each of the kit's parts."""
