//! Packets, codecs and both ends' state machines of the Tautline protocol. No sockets, no clock, no tasks.
