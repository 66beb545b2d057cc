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

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

fn padded(len: usize, alignment: u32) -> usize {
    len.next_multiple_of(alignment as usize)
}
