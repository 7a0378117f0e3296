"""The ways to those who hold something of the log that we cannot take back."""
