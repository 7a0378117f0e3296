"""Where events begin: the gateway, the operator's tools, the timed workers."""
