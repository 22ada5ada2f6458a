"""Search spaces: what a YAML file may say, how it is read and checked, and how values are set on top of it. It imports
only the core and the modules at the package's root."""
