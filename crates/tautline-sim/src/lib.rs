//! Clients, a hub and a bad network on one virtual clock. Not published.
