//! Containers of models: which of them are known, and that all of them come back.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;

use serde_json::Value;
use support::gguf::{GgufWriter, TYPES, Type, every_value, gguf};
use support::{Dir, Place, json, model, noise, ok, run, safetensors};

/// A model with a large tensor of each type, and a small norm behind each.
fn of_types(types: &[Type]) -> Vec<u8> {
    let mut file = GgufWriter::new();
    for (number, value) in every_value().into_iter().enumerate() {
        file.entry(&format!("key.{number}"), value);
    }
    for (number, &(kind, _, elements, bytes)) in types.iter().enumerate() {
        let blocks = 100_000 / bytes;
        let data = noise(u64::from(kind), blocks * bytes);
        let shape = [blocks as u64 / 2, 2 * elements];
        let data = &data[..blocks / 2 * 2 * bytes];
        file.tensor(&format!("blk.{number}.weight"), kind, &shape, data);
        file.tensor(&format!("blk.{number}.norm"), 0, &[50], &noise(1, 200));
    }
    let (header, data) = file.finish();
    [header, data].concat()
}

#[test]
fn gguf_files_of_every_type_are_packed_by_it_and_mount_back_equal() {
    let original = of_types(&TYPES);
    let place = Place::new();
    let archive = place.pack("model.gguf", &original);
    let found = json(&ok(["inspect", "--json", archive.to_str().unwrap()]));
    assert_eq!(found["unread"], Value::Null);
    assert_eq!(found["tensors"].as_array().unwrap().len(), 2 * TYPES.len());
    let planes = found["planes"].as_array().unwrap();
    for (number, (_, dtype, elements, bytes)) in TYPES.iter().enumerate() {
        let tensor = &found["tensors"][2 * number];
        assert_eq!(tensor["name"], format!("blk.{number}.weight"));
        assert_eq!(tensor["dtype"], *dtype);
        let shape = [(100_000 / bytes / 2) as u64, 2 * elements];
        assert_eq!(tensor["shape"], serde_json::json!(shape));
        let element = if ["NVFP4", "Q1_0"].contains(dtype) {
            "BYTES"
        } else {
            *dtype
        };
        assert!(planes.iter().any(|p| p["element"] == element), "{element}");
    }
    let text = ok(["inspect", archive.to_str().unwrap()]);
    assert!(text.contains("blk.12.weight [238, 512]"), "{text}");
    ok(["verify", "--deep", archive.to_str().unwrap()]);
    let mount = place.mount();
    assert!(fs::read(mount.path("model.gguf")).unwrap() == original);
    mount.stop();
}

#[test]
fn gguf_files_are_models_in_directories_and_to_analyze() {
    let dir = Dir::new();
    let original = of_types(&TYPES[..12]);
    let file = dir.write("from/model.gguf", &original);
    dir.write("from/named.otherwise", &original);
    ok(["pack", &dir.path("from"), "-o", &dir.path("to")]);
    assert_eq!(dir.names("to"), ["model.gguf.wfz", "named.otherwise.wfz"]);
    let found = json(&ok(["analyze", "--json", &file]));
    assert_eq!(found["files"][0]["tensors"], 24);
    let blocks = |bytes: usize| (100_000 / bytes / 2 * 2) as u64;
    for (_, dtype, elements, bytes) in &TYPES[1..12] {
        let dtypes = found["dtypes"].as_array().unwrap();
        let of_dtype = dtypes.iter().find(|one| one["dtype"] == *dtype).unwrap();
        assert_eq!(of_dtype["parameters"], blocks(*bytes) * elements, "{dtype}");
    }
    ok(["analyze", "--html", &dir.path("report.html"), &file]);
    ok(["pack", "--replace", &file]);
    assert_eq!(dir.names("from"), ["model.gguf.wfz", "named.otherwise"]);
    ok(["unpack", "--replace", &dir.path("from/model.gguf.wfz")]);
    assert!(fs::read(&file).unwrap() == original);
}

#[test]
fn a_gguf_file_that_is_not_read_is_packed_as_bytes_and_says_why() {
    let with_version = |version| {
        let mut file = GgufWriter::new();
        file.version = version;
        file.tensor("a", 0, &[1000], &noise(1, 4000));
        let (header, data) = file.finish();
        [header, data].concat()
    };
    let sound = with_version(3);
    for (original, why) in [
        (with_version(1), "GGUF version 1 is not read"),
        (with_version(4), "GGUF version 4 is not read"),
        (
            with_version(3 << 24),
            "GGUF of big-endian machines is not read",
        ),
        (
            [b"GGUF\x03\0\0\0".to_vec(), noise(3, 100_000)].concat(),
            "does not end",
        ),
        (sound[..50].to_vec(), "does not end"),
        (b"GGUF\x03\0\0\0".to_vec(), "does not end"),
    ] {
        let place = Place::new();
        let archive = place.pack("model.gguf", &original);
        let archive = archive.to_str().unwrap();
        let found = json(&ok(["inspect", "--json", archive]));
        assert_eq!(found["tensors"].as_array().unwrap().len(), 0);
        assert!(found["unread"].as_str().unwrap().contains(why), "{found}");
        let text = ok(["inspect", archive]);
        let line = text.lines().last().unwrap();
        assert!(line.starts_with("model: ") && line.contains(why), "{text}");
        assert!(line.ends_with(": packed as bytes"), "{text}");
        for plane in found["planes"].as_array().unwrap() {
            assert_eq!(plane["element"], "BYTES", "{found}");
        }
        ok(["verify", "--deep", archive]);
        ok(["unpack", archive, "-o", &format!("{archive}.back")]);
        assert!(fs::read(format!("{archive}.back")).unwrap() == original);
    }
}

#[test]
fn gguf_files_of_another_version_or_byte_order_are_no_damaged_ones() {
    for (version, why) in [
        (1, "GGUF version 1 is not read"),
        (4, "GGUF version 4 is not read"),
        (3 << 24, "GGUF of big-endian machines is not read"),
    ] {
        let mut file = GgufWriter::new();
        file.version = version;
        file.tensor("a", 0, &[25_000], &[7; 100_000]);
        let (header, data) = file.finish();
        let dir = Dir::new();
        let file = dir.write("m/model.gguf", &[header, data].concat());
        let text = ok(["analyze", &file]);
        assert!(text.contains(&format!("{why}; taken as")), "{text}");
        let found = json(&ok(["analyze", "--json", &file]));
        assert_eq!(found["files"][0]["unread"], why);
        let (status, _, stderr) = run(["pack", &file, "-o", &dir.path("model.wfz")]);
        assert_eq!((status, stderr.as_str()), (0, ""));
        ok(["pack", "--replace", &file]);
        assert_eq!(dir.names("m"), ["model.gguf.wfz"]);
    }
    let dir = Dir::new();
    let damaged = [b"GGUF\x03\0\0\0".to_vec(), vec![7; 100_000]].concat();
    let file = dir.write("model.gguf", &damaged);
    let (status, _, stderr) = run(["pack", "--replace", &file]);
    assert!(status == 2 && stderr.contains("does not end"), "{stderr}");
}

#[test]
fn tensors_of_types_that_no_codec_knows_are_counted_by_their_shape_and_told() {
    let dir = Dir::new();
    let file = gguf(&[
        ("a", 40, &[1000, 64], noise(1, 36_000)),
        ("b", 99, &[10, 64], noise(2, 640)),
        ("c", 99, &[30, 64], noise(3, 1920)),
        ("d", 8, &[500, 64], noise(4, 34_000)),
    ]);
    let file = dir.write("model.gguf", &file);
    let found = json(&ok(["analyze", "--json", &file]));
    let dtypes = found["dtypes"].as_array().unwrap();
    for (dtype, elements) in [("NVFP4", 64_000), ("type 99", 2560), ("Q8_0", 32_000)] {
        let of_dtype = dtypes.iter().find(|one| one["dtype"] == dtype).unwrap();
        assert_eq!(of_dtype["parameters"], elements, "{dtype}");
    }
    ok(["pack", &file]);
    let archive = dir.path("model.gguf.wfz");
    let found = json(&ok(["inspect", "--json", &archive]));
    let dtypes = serde_json::json!(["NVFP4", "type 99"]);
    assert_eq!(found["packed_as_bytes"], dtypes);
    assert_eq!(found["missing_bytes"], 0);
    let text = ok(["inspect", &archive]);
    let line = "tensors of types that no codec knows, packed as bytes: 3 (NVFP4, type 99)";
    assert_eq!(text.lines().last(), Some(line), "{text}");
}

#[test]
fn of_a_gguf_file_that_is_cut_off_tensors_are_what_is_there() {
    let dir = Dir::new();
    let whole = gguf(&[
        ("a", 12, &[500, 256], noise(1, 500 * 144)),
        ("b", 8, &[1000, 64], noise(2, 2000 * 34)),
    ]);
    let file = dir.write("m/cut.gguf", &whole[..whole.len() - 34_000]);
    let (status, _, stderr) = run(["pack", "--replace", &file]);
    assert!(
        status == 2 && stderr.contains("is not complete"),
        "{stderr}"
    );
    let (status, _, stderr) = run(["pack", &file]);
    assert!(
        status == 0 && stderr.contains("the last 34000 are missing"),
        "{stderr}"
    );
    let found = json(&ok(["inspect", "--json", &dir.path("m/cut.gguf.wfz")]));
    let bytes = |place: usize| &found["tensors"][place]["original_bytes"];
    assert_eq!(
        (bytes(0), bytes(1)),
        (&Value::from(72_000), &Value::from(34_000))
    );
    assert_eq!(found["tensors"][1]["dtype"], "Q8_0");
    assert_eq!(found["missing_bytes"], 34_000);
    assert_eq!(found["packed_as_bytes"], serde_json::json!([]));
    let text = ok(["inspect", &dir.path("m/cut.gguf.wfz")]);
    let line = text.lines().last().unwrap();
    assert!(line.contains("its last 34000 bytes are missing"), "{text}");
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
        ("GGUF", of_types(&TYPES)),
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
