"""What every room computes with: compiled loops and threads. It knows no astronomy."""
