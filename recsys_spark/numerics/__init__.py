"""Array types, compiled loops and their machine code, shared by several kernels."""
