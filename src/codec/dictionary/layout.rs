//! What encoder and decoder agree on.

/// With more values, the list costs more than it saves.
pub(super) const MAX_VALUES: usize = 4096;
/// Bytes in front of the values.
pub(super) const HEADER_BYTES: usize = 4;

/// Bits of a place in a list of so many values.
pub(super) const fn place_bits(values: usize) -> u8 {
    if values <= 256 { 8 } else { 16 }
}
