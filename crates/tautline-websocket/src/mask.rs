//! Masking, RFC 6455 section 5.3: every byte a client sends is XORed with a key of four bytes.

/// The key that one frame of a client is masked with. It must come from a source that a script cannot guess.
pub type MaskKey = [u8; 4];

/// Masks `bytes`, or takes the mask off again: the two are the same.
///
/// The first byte meets the first byte of the key.
pub fn apply_mask(bytes: &mut [u8], key: MaskKey) {
    // Whole words, because this loop touches every byte that a client ever sends; the compiler makes vectors of it.
    let [a, b, c, d] = key;
    let wide_key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide_key).to_ne_bytes();
    }
    for (byte, key_byte) in rest.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key_byte;
    }
}

/// The key for what follows after `bytes_done` bytes of the same frame.
pub(crate) fn key_after(mut key: MaskKey, bytes_done: usize) -> MaskKey {
    key.rotate_left(bytes_done % size_of::<MaskKey>());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: MaskKey = [0x37, 0xfa, 0x21, 0x3d];

    fn one_byte_at_a_time(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().enumerate().map(|(index, byte)| byte ^ KEY[index % 4]).collect()
    }

    #[test]
    fn every_length_is_masked_as_the_rfc_says_byte_by_byte() {
        for len in 0..64_u8 {
            let plain: Vec<u8> = (0..len).collect();
            let mut masked = plain.clone();
            apply_mask(&mut masked, KEY);
            assert_eq!(masked, one_byte_at_a_time(&plain), "length {len}");
        }
    }

    #[test]
    fn a_frame_masked_in_two_parts_equals_the_frame_masked_at_once() {
        let plain: Vec<u8> = (0..40).collect();
        for cut in 0..plain.len() {
            let mut masked = plain.clone();
            let (front, back) = masked.split_at_mut(cut);
            apply_mask(front, KEY);
            apply_mask(back, key_after(KEY, cut));
            assert_eq!(masked, one_byte_at_a_time(&plain), "cut at {cut}");
        }
    }

    #[test]
    fn the_example_of_the_rfc_reads_hello() {
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply_mask(&mut payload, KEY);
        assert_eq!(&payload, b"Hello");
    }
}
