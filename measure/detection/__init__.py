"""Which of a picture's peaks are stars."""
