//! What holds of every block, sound or not.

use weightfs::block::{Beside, BlockDecoder};
use weightfs::format::checksum;

/// Decodes a block on every instruction set: all give the same, and what it is known to hold comes back.
pub fn check_block(
    decoders: &mut [(&'static str, BlockDecoder)],
    stored: &[u8],
    decoded_len: usize,
    beside: Beside<'_>,
    bytes: Option<&[u8]>,
) {
    let decode = |decoder: &mut BlockDecoder, checksum, fill: u8| {
        let mut decoded = vec![fill; decoded_len].into_boxed_slice();
        let result = decoder.decode_into(stored, checksum, beside, &mut decoded);
        (result.map_err(|error| error.to_string()), decoded)
    };
    // A block that fails only for its checksum has decoded to something. With the right checksum it
    // must decode to the same everywhere.
    let mut fresh = BlockDecoder::new().expect("memory");
    let (_, found) = decode(&mut fresh, 0, 0);
    let expected_checksum = checksum(bytes.unwrap_or(&found));
    let (expected, _) = decode(&mut fresh, expected_checksum, 0xFF);
    for (name, decoder) in decoders {
        let (result, decoded) = decode(decoder, expected_checksum, 0xA5);
        assert_eq!(result, expected, "{name}");
        assert!(result.is_err() || decoded == found, "{name} differs");
    }
    if let Some(bytes) = bytes {
        assert_eq!(expected, Ok(()));
        assert!(*found == *bytes, "lost");
    }
}
