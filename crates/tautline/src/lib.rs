//! The tautline binary: serve, chaos, token.
