//! GGUF files for tests: sound ones, and such as tell anything. Unit tests and fuzz targets have this file
//! as well.
#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::new_without_default,
    missing_docs,
    reason = "test code, of which each user needs a part"
)]

/// Values of metadata, as their type and bytes.
pub type Value = (u32, Vec<u8>);

pub fn u32_value(number: u32) -> Value {
    (4, number.to_le_bytes().to_vec())
}

pub fn string_value(text: &[u8]) -> Value {
    (8, sized(text))
}

/// An array of values of one type.
pub fn array_value(kind: u32, values: &[Value]) -> Value {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend((values.len() as u64).to_le_bytes());
    bytes.extend(values.iter().flat_map(|(_, bytes)| bytes));
    (9, bytes)
}

/// A value of every type, arrays in arrays too.
pub fn every_value() -> Vec<Value> {
    let numbers = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
    let mut values: Vec<_> = (0..13)
        .zip(numbers)
        .filter(|(_, len)| *len > 0)
        .map(|(kind, len)| (kind, vec![0x41; len]))
        .collect();
    values.extend([string_value(b""), string_value(b"a \xff string")]);
    let arrays: Vec<_> = values
        .iter()
        .map(|value| array_value(value.0, &vec![value.clone(); 5]))
        .collect();
    values.extend([
        array_value(9, &arrays),
        array_value(9, &[array_value(9, &arrays)]),
        array_value(9, &[]),
    ]);
    values.extend(arrays);
    values
}

/// A type of tensors: its number, the dtype that is shown, elements and bytes of a block.
pub type Type = (u32, &'static str, u64, usize);

/// Types of numbers, every type of records, blocks that no codec knows.
pub const TYPES: [Type; 28] = [
    (0, "F32", 1, 4),
    (30, "BF16", 1, 2),
    (24, "I8", 1, 1),
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (29, "IQ1_M", 256, 56),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
    (9, "Q8_1", 32, 36),
];

/// A file that is being written.
pub struct GgufWriter {
    pub version: u32,
    pub alignment: u32,
    entries: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl GgufWriter {
    pub fn new() -> Self {
        Self {
            version: 3,
            alignment: 32,
            entries: Vec::new(),
            tensors: Vec::new(),
            data: Vec::new(),
        }
    }

    /// Adds an entry of metadata.
    pub fn entry(&mut self, key: &str, (kind, value): Value) {
        self.entries
            .push([sized(key.as_bytes()), kind.to_le_bytes().to_vec(), value].concat());
    }

    /// Adds a tensor behind those that are there. Neighbours are in the last dimension.
    pub fn tensor(&mut self, name: &str, kind: u32, shape: &[u64], bytes: &[u8]) {
        self.tensor_at(name, kind, shape, self.data.len() as u64);
        self.data.extend(bytes);
        let len = padded(self.data.len(), self.alignment);
        self.data.resize(len, 0);
    }

    /// Adds a tensor that lies anywhere.
    pub fn tensor_at(&mut self, name: &str, kind: u32, shape: &[u64], offset: u64) {
        let mut tensor = sized(name.as_bytes());
        tensor.extend((shape.len() as u32).to_le_bytes());
        tensor.extend(shape.iter().rev().flat_map(|len| len.to_le_bytes()));
        tensor.extend(kind.to_le_bytes());
        tensor.extend(offset.to_le_bytes());
        self.tensors.push(tensor);
    }

    /// The file up to where tensors start, and them.
    pub fn finish(&self) -> (Vec<u8>, Vec<u8>) {
        let mut header = b"GGUF".to_vec();
        header.extend(self.version.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.entries.len() as u64).to_le_bytes());
        header.extend(self.entries.iter().chain(&self.tensors).flatten());
        let len = padded(header.len(), self.alignment);
        header.resize(len, 0);
        (header, self.data.clone())
    }
}

/// A file with tensors of these names, types, shapes and bytes.
pub fn gguf(tensors: &[(&str, u32, &[u64], Vec<u8>)]) -> Vec<u8> {
    let mut file = GgufWriter::new();
    file.entry("general.architecture", string_value(b"llama"));
    let tokens: Vec<_> = (0..100)
        .map(|i| string_value(format!("t{i}").as_bytes()))
        .collect();
    file.entry("tokenizer.ggml.tokens", array_value(8, &tokens));
    for (name, kind, shape, bytes) in tensors {
        file.tensor(name, *kind, shape, bytes);
    }
    let (header, data) = file.finish();
    [header, data].concat()
}

/// A model of about `mib` MiB of quantized tensors, Q8_0, Q4_K and Q6_K, with a norm between them. Levels near
/// the middle are the most frequent ones.
pub fn quantized(seed: u64, mib: u64) -> Vec<u8> {
    let mut draws = Draws(seed);
    let rows = mib * 512;
    let q8 = draws.records(rows * 32, |draws| {
        let levels = draws.bytes(32, |draws| draws.bell(64).wrapping_sub(126));
        [draws.half(), levels].concat()
    });
    let q4 = draws.records(rows, |draws| {
        let scales = draws.bytes(12, |draws| draws.below(64) | 0x40);
        [draws.half(), draws.half(), scales, draws.nibbles()].concat()
    });
    let q6 = draws.records(rows, |draws| {
        let high = draws.bytes(64, |draws| draws.below(2) * 0x55);
        let scales = draws.bytes(16, |draws| draws.bell(32).wrapping_sub(62));
        [draws.nibbles(), high, scales, draws.half()].concat()
    });
    gguf(&[
        ("token_embd.weight", 8, &[rows, 1024], q8),
        ("blk.0.attn_norm.weight", 0, &[1024], vec![0x3F; 4096]),
        ("blk.0.attn_q.weight", 12, &[rows, 256], q4),
        ("blk.1.attn_q.weight", 14, &[rows, 256], q6),
    ])
}

/// Numbers that look like chance, the same for the same seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u8 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        ((self.0 >> 33) % end) as u8
    }

    /// A sum of four.
    fn bell(&mut self, quarter: u64) -> u8 {
        (0..4).map(|_| self.below(quarter)).sum()
    }

    fn bytes(&mut self, count: usize, byte: impl Fn(&mut Self) -> u8) -> Vec<u8> {
        (0..count).map(|_| byte(self)).collect()
    }

    /// A float of 16 bits, one of 128.
    fn half(&mut self) -> Vec<u8> {
        vec![self.below(128), 0x1C]
    }

    /// 256 levels.
    fn nibbles(&mut self) -> Vec<u8> {
        self.bytes(128, |draws| (draws.bell(4) + 2) | (draws.bell(4) + 2) << 4)
    }

    fn records(&mut self, count: u64, record: impl Fn(&mut Self) -> Vec<u8>) -> Vec<u8> {
        (0..count).flat_map(|_| record(self)).collect()
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

fn padded(len: usize, alignment: u32) -> usize {
    len.next_multiple_of(alignment as usize)
}
