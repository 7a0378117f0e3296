"""What crosses a wire: events, topics, API bodies, problems."""
