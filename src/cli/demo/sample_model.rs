//! A model made up for the demonstration: layers of BF16 weights with the statistics of trained
//! ones (nearly Gaussian, each row with its own scale), and the small tensors that go with them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Rows and columns of the weight matrices.
const WIDTH: usize = 2048;
/// Matrices of a layer.
const MATRICES: [&str; 4] = ["q_proj", "k_proj", "v_proj", "o_proj"];
const LAYERS: usize = 8;

/// Writes `model.safetensors` (about 270 MB) and `config.json` to a directory.
///
/// # Errors
/// What the system answered.
pub(super) fn write(directory: &Path) -> io::Result<()> {
    fs::write(
        directory.join("config.json"),
        format!("{{\"model_type\": \"demo\", \"num_hidden_layers\": {LAYERS}}}\n"),
    )?;
    let file = File::create(directory.join("model.safetensors"))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let header = header();
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    let mut random = Random(7);
    for _ in 0..LAYERS {
        for _ in MATRICES {
            for _ in 0..WIDTH {
                let scale = 0.02 * (0.25 * random.normal()).exp();
                for _ in 0..WIDTH {
                    out.write_all(&bf16(scale * random.normal()))?;
                }
            }
        }
        for _ in 0..WIDTH {
            out.write_all(&(1.0 + 0.2 * random.normal()).to_le_bytes())?;
        }
    }
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}

fn header() -> String {
    let mut tensors = Vec::new();
    let mut at = 0;
    let mut tensor = |name: String, dtype: &str, shape: String, bytes: usize| {
        let end = at + bytes;
        tensors.push(format!(
            "\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{at},{end}]}}"
        ));
        at = end;
    };
    for layer in 0..LAYERS {
        for matrix in MATRICES {
            tensor(
                format!("model.layers.{layer}.self_attn.{matrix}.weight"),
                "BF16",
                format!("[{WIDTH},{WIDTH}]"),
                2 * WIDTH * WIDTH,
            );
        }
        tensor(
            format!("model.layers.{layer}.input_layernorm.weight"),
            "F32",
            format!("[{WIDTH}]"),
            4 * WIDTH,
        );
    }
    let mut header = format!(
        "{{\"__metadata__\":{{\"format\":\"pt\"}},{}}}",
        tensors.join(",")
    );
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    header
}

/// The upper half of the number, rounded to nearest, ties to even.
fn bf16(value: f32) -> [u8; 2] {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    let [_, _, low, high] = rounded.to_le_bytes();
    [low, high]
}

/// SplitMix64 (Steele, Lea, Flood 2014), written out: the ratio that README.md tells is of these very
/// numbers, and no crate of random numbers promises the same ones for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Nearly normal, with mean 0 and variance 1: the sum of four uniform numbers (Irwin-Hall).
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: f32 = (0..4)
            .map(|i| {
                let [low, high, ..] = (bits >> (16 * i)).to_le_bytes();
                f32::from(u16::from_le_bytes([low, high]))
            })
            .sum();
        // Four uniform numbers from 0 to 2^16 have mean 2^17 and variance 2^32 / 3.
        (sum - 131_072.0) * (3f32.sqrt() / 65_536.0)
    }
}
