//! Reads tensors out of an archive, without a mount:
//!
//!     cargo run --release --example read_tensor -- model.safetensors.wfz [TENSOR]
//!
//! Without TENSOR, lists the tensors. With it, decodes the blocks that hold it and nothing else.

use std::path::Path;
use std::process::ExitCode;

use weightfs::Archive;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else {
        eprintln!("usage: read_tensor ARCHIVE [TENSOR]");
        return ExitCode::from(2);
    };
    match show(Path::new(&path), args.next().as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the tensors of an archive, or what is in one of them.
pub fn show(path: &Path, name: Option<&str>) -> weightfs::Result<()> {
    let archive = Archive::open(path)?;
    let Some(name) = name else {
        for tensor in archive.tensors()? {
            println!("{} {} {:?}", tensor.name, tensor.dtype, tensor.shape);
        }
        return Ok(());
    };
    match archive.tensor(name)? {
        Some((tensor, bytes)) => {
            let first = &bytes[..bytes.len().min(16)];
            println!("{} {:?}: {} bytes", tensor.dtype, tensor.shape, bytes.len());
            println!("first bytes: {first:02x?}");
        }
        None => println!("there is no tensor {name}"),
    }
    Ok(())
}
