//! Files that are models, or nearly.

use crate::Input;

const DTYPES: [&str; 8] = ["BF16", "F16", "F32", "F64", "F8_E4M3", "I64", "U8", "F4"];

/// A number of any size.
pub fn wide(input: &mut Input<'_>) -> u64 {
    let number = u64::from(input.long()) << 32 | u64::from(input.long());
    number >> (input.byte() % 64)
}

/// A file whose header may claim anything about what lies behind it.
pub fn safetensors(input: &mut Input<'_>) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut at = 0u64;
    for number in 0..input.byte() % 8 {
        let dtype = input.one_of(&DTYPES);
        let rows = u64::from(input.byte());
        let columns = u64::from(input.short() % 300);
        // Mostly where it belongs; sometimes in a gap, over another one, or behind the end.
        let start = match input.byte() % 8 {
            0 => at + u64::from(input.byte()),
            1 => at.saturating_sub(u64::from(input.short())),
            2 => wide(input),
            _ => at,
        };
        let end = match input.byte() % 8 {
            0 => wide(input),
            _ => start.wrapping_add(2 * rows * columns),
        };
        at = end.min(1 << 20);
        entries.push(format!(
            r#""layers.{number}.w":{{"dtype":"{dtype}","shape":[{rows},{columns}],"data_offsets":[{start},{end}]}}"#
        ));
    }
    let mut header = format!("{{{}}}", entries.join(","));
    if input.once_in(4) {
        header.push_str(&" ".repeat(usize::from(input.byte())));
    }
    let mut header = header.into_bytes();
    if input.once_in(8) {
        input.edit(&mut header);
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(&header);
    let data_len = usize::try_from(at).unwrap_or(0).min(1 << 18);
    let mut random = fastrand::Rng::with_seed(wide(input));
    let kind = input.byte();
    file.extend((0..data_len).map(|i| {
        let byte = random.u8(..);
        match kind % 4 {
            0 => byte,
            1 if i % 2 == 1 => 0x3b | byte & 0x81,
            2 => 0,
            _ => byte & 0x0f,
        }
    }));
    file.truncate(file.len().saturating_sub(usize::from(input.byte() % 16)));
    file
}
