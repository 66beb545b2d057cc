//! A model made up for the demonstration: layers of BF16 weights with the statistics of trained
//! ones (nearly Gaussian, each row with its own scale), and the small tensors that go with them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::made_up::{Random, next_weight, row_scale};

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
                let scale = row_scale(&mut random);
                for _ in 0..WIDTH {
                    out.write_all(&next_weight(&mut random, scale))?;
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
