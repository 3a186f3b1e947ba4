//! Random bytes from the system: for masks, nonces and the session's own name.

/// Bytes fetched at once: a system call for each mask would cost more than the message.
const POOL_BYTES: usize = 256;

/// Unpredictable bytes, as RFC 6455 (section 5.3) asks of masks.
pub(crate) struct Random {
    pool: [u8; POOL_BYTES],
    used: usize,
}

impl Random {
    /// Makes sure that the system gives random bytes.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut pool = [0; POOL_BYTES];
        getrandom::fill(&mut pool)?;
        Ok(Self { pool, used: 0 })
    }

    /// The next `N` bytes, at most [`POOL_BYTES`].
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        if self.used + N > POOL_BYTES {
            getrandom::fill(&mut self.pool).expect("a system that gave random bytes once gives them again");
            self.used = 0;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.pool[self.used..self.used + N]);
        self.used += N;
        bytes
    }

    /// Text with `N` random bytes in hex.
    pub(crate) fn hex<const N: usize>(&mut self) -> String {
        use std::fmt::Write as _;
        self.bytes::<N>().iter().fold(String::with_capacity(2 * N), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing into a text cannot fail");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_do_not_repeat_across_the_pool() {
        let mut random = Random::new().unwrap();
        let drawn: std::collections::HashSet<[u8; 16]> = (0..1000).map(|_| random.bytes()).collect();
        assert_eq!(drawn.len(), 1000);
        assert_eq!(random.hex::<12>().len(), 24);
    }
}
