"""Array types and compiled loops that several kernels share."""
