"""Cells and architecture parameters as pictures, in SVG, PNG and DOT. It imports only the core and the modules at the
package's root."""
