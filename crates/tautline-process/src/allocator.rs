//! The settings of jemalloc in every program that holds connections.

/// A background thread returns pages to the system: by itself jemalloc returns them only when it is asked for
/// memory, so the pages of a burst would stay for as long as no connection sends (docs/adr/0017). Ends with a
/// zero, as C text does; a program exports it as `_rjem_malloc_conf`.
pub const JEMALLOC_SETTINGS: &[u8; 68] =
    b"background_thread:true,max_background_threads:1,dirty_decay_ms:1000\0";
