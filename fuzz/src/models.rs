//! Files that are models, or nearly.

use crate::Input;
use crate::gguf::{GgufWriter, array_value, every_value, u32_value};

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

/// Types of ggml: numbers, records, blocks no codec knows, and two that nobody knows.
const KINDS: [u32; 10] = [0, 1, 2, 8, 12, 14, 39, 40, 31, 1000];

/// The same of a GGUF file.
pub fn gguf(input: &mut Input<'_>) -> Vec<u8> {
    let mut file = GgufWriter::new();
    file.version = u32::from(input.byte() % 3) + 2;
    let values = every_value();
    for number in 0..input.byte() % 8 {
        let value = values[usize::from(input.byte()) % values.len()].clone();
        let value = match input.byte() % 4 {
            0 => array_value(value.0, &vec![value; usize::from(input.byte())]),
            _ => value,
        };
        file.entry(&format!("key.{number}"), value);
    }
    if input.once_in(4) {
        let alignment = input.one_of(&[1, 8, 24, 64, 4096, 0, 7, 1 << 22]);
        file.alignment = alignment.clamp(1, 4096);
        file.entry("general.alignment", u32_value(alignment));
    }
    let mut random = fastrand::Rng::with_seed(wide(input));
    for number in 0..input.byte() % 8 {
        let kind = input.one_of(&KINDS);
        let mut shape = vec![u64::from(input.byte()), 256];
        if input.once_in(8) {
            shape = (0..input.byte() % 5).map(|_| wide(input)).collect();
        }
        let name = format!("blk.{number}.w");
        if input.once_in(4) {
            file.tensor_at(&name, kind, &shape, wide(input));
        } else {
            let mask = input.byte();
            let len = usize::from(input.short());
            let bytes: Vec<_> = (0..len).map(|_| random.u8(..) & mask).collect();
            file.tensor(&name, kind, &shape, &bytes);
        }
    }
    let (mut header, data) = file.finish();
    if input.once_in(2) {
        input.edit(&mut header);
    }
    header.extend(data);
    header.truncate(header.len().saturating_sub(usize::from(input.byte() % 64)));
    header
}
