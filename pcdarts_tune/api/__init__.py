"""The Python API: one module for each name of `pcdarts_tune`, and what the commands do between parsing and printing. The
package's root imports a name from here when it is first used."""
