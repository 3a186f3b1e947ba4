//! The embeddable Tautline server.
