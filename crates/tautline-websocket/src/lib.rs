//! RFC 6455 over byte slices: any split of the bytes gives the same events. No I/O.
