//! A payload with a number at its front, for servers that do not count.

/// The digits of a number: a run of a year has not more.
pub(crate) const NUMBER_BYTES: usize = 12;

/// Letters behind a number, made once and numbered again for each publication.
#[derive(Debug)]
pub(crate) struct Payload(Vec<u8>);

impl Payload {
    /// Of so many bytes, or of as many as the number needs.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(vec![b'x'; bytes.max(NUMBER_BYTES)])
    }

    /// The payload with this number.
    pub(crate) fn numbered(&mut self, mut number: u64) -> &[u8] {
        for digit in self.0[..NUMBER_BYTES].iter_mut().rev() {
            *digit = b'0' + u8::try_from(number % 10).expect("a digit");
            number /= 10;
        }
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_number_replaces_only_the_front() {
        let mut payload = Payload::new(14);
        assert_eq!(payload.numbered(1205), b"000000001205xx");
        assert_eq!(payload.numbered(6), b"000000000006xx");
    }
}
