"""Where events are handled: thin edges that know ports, not adapters."""
