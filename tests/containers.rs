//! Containers of models: which of them are known, and that all of them come back.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;

use serde_json::Value;
use support::{Dir, Place, json, model, noise, ok, run, safetensors};

/// A GGUF file as far as its magic and version go.
fn gguf(len: usize) -> Vec<u8> {
    [b"GGUF\x03\0\0\0".to_vec(), noise(3, len)].concat()
}

#[test]
fn a_gguf_file_packs_as_bytes_and_mounts_back_equal() {
    for len in [0, 1, 100, 1_000_000] {
        let original = gguf(len);
        let place = Place::new();
        let archive = place.pack("model.gguf", &original);
        let found = json(&ok(["inspect", "--json", archive.to_str().unwrap()]));
        assert_eq!(found["tensors"].as_array().unwrap().len(), 0);
        for plane in found["planes"].as_array().unwrap() {
            assert_eq!(plane["element"], "BYTES", "{found}");
        }
        ok(["verify", "--deep", archive.to_str().unwrap()]);
        let mount = place.mount();
        assert!(fs::read(mount.path("model.gguf")).unwrap() == original);
        mount.stop();
    }
}

#[test]
fn gguf_files_of_a_directory_stay_as_they_are_until_their_tensors_are_read() {
    let dir = Dir::new();
    let original = gguf(10_000);
    let file = dir.write("from/model.gguf", &original);
    dir.write("from/model.safetensors", &model(1, 1));
    ok(["pack", &dir.path("from"), "-o", &dir.path("to")]);
    assert_eq!(dir.names("to"), ["model.gguf", "model.safetensors.wfz"]);
    assert!(fs::read(dir.path("to/model.gguf")).unwrap() == original);
    let (status, _, stderr) = run(["pack", "--replace", &file]);
    assert!(status == 2 && stderr.contains("is no model"), "{stderr}");
    let found = json(&ok(["analyze", "--json", &file]));
    assert_eq!(found["files"][0]["header_bytes"], 0);
    assert_eq!(found["dtypes"][0]["dtype"], "BYTES");
}

/// Name, dtype and shape of the tensors of an object that has some.
fn tensors(of: &Value) -> Vec<[Value; 3]> {
    let tensors = of["tensors"].as_array().unwrap().iter();
    tensors
        .map(|tensor| ["name", "dtype", "shape"].map(|what| tensor[what].clone()))
        .collect()
}

#[test]
fn a_header_says_the_same_of_a_file_and_of_its_archive() {
    let many: Vec<_> = (0..1500)
        .map(|i| (format!("layers.{i}.weight"), (i % 7 + 1) * 100))
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, len)| (name.as_str(), "BF16", [1, 50], noise(1, *len)))
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, *dtype, &shape[..], bytes.clone()))
        .collect();
    for (name, bytes) in [
        ("model", model(2, 2)),
        ("header of many blocks", safetensors(&many)),
    ] {
        let dir = Dir::new();
        let file = dir.write("m.safetensors", &bytes);
        ok(["pack", "--block-size", "4K", &file]);
        let of_file = json(&ok(["analyze", "--json", &file]));
        let of_archive = json(&ok(["inspect", "--json", &dir.path("m.safetensors.wfz")]));
        assert!(!tensors(&of_file).is_empty(), "{name}");
        assert_eq!(tensors(&of_file), tensors(&of_archive), "{name}");
    }
}
