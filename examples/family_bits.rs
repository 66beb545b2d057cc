//! What a model takes beside its base, in bits a weight: `cargo run --release --example family_bits OWN BASE [BLOCK]`, both files
//! of safetensors with BF16 (or F16, F32) tensors of the same names and shapes.
//!
//! Says the entropy of the difference in places given the base's exponent, counted in each tensor by itself; what the
//! codec takes at each level, in blocks of BLOCK bytes or as many as archives have there; and XOR in byte planes with zstd, which is
//! what others have published. Blocks that are equal count as nothing. All is decoded and compared. Speeds are those of one core:
//! all blocks one after the other, of each the fastest of several times.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use weightfs::codec::difference::{Decoder, Encoder};
use weightfs::codec::{Form, Level, Method};
use weightfs::simd::Simd;

/// Of XOR with zstd, as archives have blocks of it.
const XOR_BLOCK: usize = 1 << 20;
/// How often all blocks are encoded and decoded.
const TIMES: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(own), Some(base)) = (arguments.next(), arguments.next()) else {
        return Err("usage: family_bits OWN BASE [BLOCK]".into());
    };
    let block = arguments
        .next()
        .map(|bytes| bytes.to_string_lossy().parse::<usize>());
    let block = block.transpose()?;
    let (own, base) = (std::fs::read(own)?, std::fs::read(base)?);
    let (own, base) = (tensors(&own)?, tensors(&base)?);
    let (mut weights, mut equal, mut bytes) = (0usize, 0usize, 0usize);
    let (mut entropy, mut xor) = (0.0, 0usize);
    // As in an archive, blocks hold numbers of all tensors, as they follow each other in the file.
    let mut extents: BTreeMap<u8, (Form, Vec<u8>, Vec<u8>)> = BTreeMap::new();
    let mut levels = [Level::Default, Level::Max].map(|level| Measured::new(level, block));
    for (name, form, own) in own {
        let same = |base: &&(String, Form, &[u8])| {
            (&base.0, base.1, base.2.len()) == (&name, form, own.len())
        };
        let Some(&(_, _, base)) = base.iter().find(same) else {
            return Err(format!("{name} is not alike in both files").into());
        };
        let width = usize::from(form.bytes);
        weights += own.len() / width;
        bytes += own.len();
        let pairs = own.chunks(width).zip(base.chunks(width));
        equal += pairs.filter(|(one, other)| one == other).count();
        entropy += entropy_of(own, base, form);
        let extent = extents.entry(form.bytes).or_insert((form, vec![], vec![]));
        extent.1.extend(own);
        extent.2.extend(base);
    }
    for (form, own, base) in extents.values() {
        xor += xor_bytes(own, base, usize::from(form.bytes))?;
        for level in &mut levels {
            level.measure(own, base, *form);
        }
    }
    let share = |bits: f64| {
        format!(
            "{:.4} bits a weight, 1 / {:.2}",
            bits / weights as f64,
            (8 * bytes) as f64 / bits
        )
    };
    println!(
        "{weights} weights, {:.1} % equal",
        100.0 * equal as f64 / weights as f64
    );
    println!("entropy given the base's exponent: {}", share(entropy));
    println!("XOR, byte planes, zstd 3: {}", share(8.0 * xor as f64));
    for level in levels {
        let bits = 8.0 * level.stored as f64;
        println!(
            "{}: {}; entropy / this {:.3}; encoded at {:.2} GB/s, decoded at {:.2} GB/s",
            level.level.name(),
            share(bits),
            entropy / bits,
            level.bytes as f64 / 1e9 / level.encoding.as_secs_f64(),
            level.bytes as f64 / 1e9 / level.decoding.as_secs_f64(),
        );
    }
    Ok(())
}

type Tensors<'a> = Vec<(String, Form, &'a [u8])>;

/// The tensors of floats of a file of safetensors, in the order of the file.
fn tensors(file: &[u8]) -> Result<Tensors<'_>, Box<dyn std::error::Error>> {
    let (len, rest) = file.split_first_chunk().ok_or("no safetensors")?;
    let len = usize::try_from(u64::from_le_bytes(*len))?;
    let (header, data) = rest.split_at_checked(len).ok_or("no safetensors")?;
    let header: Map<String, Value> = serde_json::from_slice(header)?;
    let mut tensors = Vec::new();
    for (name, value) in header {
        let (bytes, exponent_bits) = match value["dtype"].as_str() {
            Some("BF16") => (2, 8),
            Some("F16") => (2, 5),
            Some("F32") => (4, 8),
            _ => continue,
        };
        let [from, to] = serde_json::from_value::<[usize; 2]>(value["data_offsets"].clone())?;
        let numbers = data.get(from..to).ok_or("a tensor is not in the file")?;
        let form = Form {
            bytes,
            exponent_bits,
        };
        tensors.push((name, form, numbers));
    }
    tensors.sort_by_key(|tensor| tensor.2.as_ptr());
    Ok(tensors)
}

struct Measured {
    level: Level,
    block: usize,
    encoder: Encoder,
    decoder: Decoder,
    decoded: Vec<u8>,
    stored: usize,
    bytes: usize,
    encoding: Duration,
    decoding: Duration,
}

impl Measured {
    fn new(level: Level, block: Option<usize>) -> Self {
        let block = block.unwrap_or(Method::Weights.default_block_bytes(level) as usize);
        Self {
            level,
            encoder: Encoder::new(level),
            decoder: Decoder::default(),
            decoded: vec![1; block],
            block,
            stored: 0,
            bytes: 0,
            encoding: Duration::ZERO,
            decoding: Duration::ZERO,
        }
    }

    fn measure(&mut self, own: &[u8], base: &[u8], form: Form) {
        let blocks = own.chunks(self.block).zip(base.chunks(self.block));
        let blocks: Vec<_> = blocks.filter(|(own, base)| own != base).collect();
        let mut coded = vec![Vec::new(); blocks.len()];
        self.encoding += fastest(blocks.len(), |block| {
            let ((own, base), coded) = (blocks[block], &mut coded[block]);
            coded.clear();
            assert!(
                self.encoder.encode(own, base, form, coded),
                "the form is known"
            );
        });
        let decoder = &mut self.decoder;
        let mut decode = |coded: &[u8], base: &[u8], decoded: &mut [u8]| {
            decoder
                .decode_into(coded, base, form, Simd::detect(), decoded)
                .expect("it was just encoded");
        };
        for ((own, base), coded) in blocks.iter().zip(&coded) {
            let decoded = &mut self.decoded[..own.len()];
            decode(coded, base, decoded);
            assert!(decoded == *own, "lost");
        }
        self.decoding += fastest(blocks.len(), |block| {
            let base = blocks[block].1;
            decode(&coded[block], base, &mut self.decoded[..base.len()]);
        });
        self.stored += coded.iter().map(Vec::len).sum::<usize>();
        self.bytes += blocks.iter().map(|(own, _)| own.len()).sum::<usize>();
    }
}

/// Goes through all blocks several times; what the fastest time of each comes to.
fn fastest(blocks: usize, mut work: impl FnMut(usize)) -> Duration {
    let mut times = vec![Duration::MAX; blocks];
    for _ in 0..TIMES {
        for (block, least) in times.iter_mut().enumerate() {
            let started = Instant::now();
            work(block);
            *least = started.elapsed().min(*least);
        }
    }
    times.iter().sum()
}

/// Bits by the entropy of order 0 of the difference in places given the exponent of the base.
fn entropy_of(own: &[u8], base: &[u8], form: Form) -> f64 {
    let width = usize::from(form.bytes);
    let bits = 8 * u32::from(form.bytes);
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0u32, |all, &byte| all << 8 | u32::from(byte))
    };
    let ordered = |number: u32| {
        let magnitude = i64::from(number & ((1 << (bits - 1)) - 1));
        if number >> (bits - 1) == 1 {
            -1 - magnitude
        } else {
            magnitude
        }
    };
    let mut counts: HashMap<(u32, i64), u32> = HashMap::new();
    let mut of_exponents: HashMap<u32, u32> = HashMap::new();
    for (own, base) in own.chunks(width).zip(base.chunks(width)) {
        let (own, base) = (number(own), number(base));
        let exponent =
            (base & ((1 << (bits - 1)) - 1)) >> (bits - 1 - u32::from(form.exponent_bits));
        *counts
            .entry((exponent, ordered(own) - ordered(base)))
            .or_default() += 1;
        *of_exponents.entry(exponent).or_default() += 1;
    }
    let bits = |(key, &count): (&(u32, i64), &u32)| {
        f64::from(count) * (f64::from(of_exponents[&key.0]) / f64::from(count)).log2()
    };
    counts.iter().map(bits).sum()
}

fn xor_bytes(own: &[u8], base: &[u8], width: usize) -> std::io::Result<usize> {
    let mut sum = 0;
    for (own, base) in own.chunks(XOR_BLOCK).zip(base.chunks(XOR_BLOCK)) {
        for plane in 0..width {
            let bytes = own.iter().zip(base).skip(plane).step_by(width);
            let bytes: Vec<u8> = bytes.map(|(one, other)| one ^ other).collect();
            sum += zstd::bulk::compress(&bytes, 3)?.len();
        }
    }
    Ok(sum)
}
