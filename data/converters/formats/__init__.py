"""What each format is: views of its files, by their own names of things."""
