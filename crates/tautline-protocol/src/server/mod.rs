//! What the server decides, without I/O.
