"""What a frame is and where it lives: keywords, durable store, catalogue, masters, matching."""
