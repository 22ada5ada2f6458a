"""Ray: starting and joining it, shares of its resources, shipping data, ending what was left behind. It imports only the
modules at the package's root."""
