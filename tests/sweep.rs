//! What packing with loss costs, told in tables and pages: `pack --report` and `sweep`.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use support::{Dir, json, ok, run, safetensors};

/// F32 numbers that are spread nearly as a Gaussian.
fn numbers(seed: u64, count: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut next = || (0..4).map(|_| random.f32()).sum::<f32>() * 0.1 - 0.2;
    (0..count).flat_map(|_| next().to_le_bytes()).collect()
}

/// A small model with a tensor of most kinds.
fn model(seed: u64) -> Vec<u8> {
    safetensors(&[
        (
            "model.embed_tokens.weight",
            "F32",
            &[512, 128],
            numbers(seed, 512 * 128),
        ),
        (
            "model.layers.0.self_attn.q_proj.weight",
            "F32",
            &[128, 128],
            numbers(seed + 1, 128 * 128),
        ),
        (
            "model.layers.0.mlp.up_proj.weight",
            "F32",
            &[256, 128],
            numbers(seed + 2, 256 * 128),
        ),
        ("model.norm.weight", "F32", &[128], numbers(seed + 3, 128)),
        ("steps", "I64", &[], 12345u64.to_le_bytes().to_vec()),
    ])
}

#[test]
fn a_report_of_no_tensors_has_tables_without_rows_and_says_so() {
    let dir = Dir::new();
    fs::create_dir(dir.path("texts")).unwrap();
    fs::write(dir.path("texts/a.txt"), "words\n".repeat(1000)).unwrap();
    let report = dir.path("report");
    ok([
        "pack",
        &dir.path("texts"),
        "-o",
        &dir.path("packed"),
        "--report",
        &report,
    ]);
    for (table, names) in [
        ("inventory", "shard,tensor,type,"),
        ("tensors", "shard,tensor,kind,"),
    ] {
        let text = fs::read_to_string(format!("{report}/{table}.csv")).unwrap();
        assert!(text.starts_with(names) && text.ends_with('\n'), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let page = fs::read_to_string(format!("{report}/index.html")).unwrap();
    assert!(page.contains("has tensors that") && !page.contains("Nothing is lossy"));
}

/// The rows of a table, by the names of their columns. No value in these tests has a comma in it.
fn rows(path: &str) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(String::from));
    let names: Vec<String> = lines.next().unwrap().collect();
    lines
        .map(|line| names.iter().cloned().zip(line).collect())
        .collect()
}

fn number(row: &BTreeMap<String, String>, name: &str) -> f64 {
    row[name]
        .parse()
        .unwrap_or_else(|_| panic!("{name} of {row:?}"))
}

fn is_page(path: &str) {
    let page = fs::read_to_string(path).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for outside in ["<script", "src=", "href="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_report_of_a_file_agrees_with_inspect() {
    let dir = Dir::new();
    let source = dir.write("m.safetensors", &model(1));
    let (archive, report) = (dir.path("m.wfz"), dir.path("report"));
    for options in [
        &[][..],
        &["--error-bound", "1e-3"],
        &["--row-bound", "0.02"],
        &["--pointwise-bound", "0.02"],
        &["--relative-bound", "1e-3"],
        &["--quantize", "int4", "--group", "64"],
    ] {
        let start = [
            "pack", &source, "-o", &archive, "--force", "--report", &report, "--json",
        ];
        let packed = json(&ok(start.iter().chain(options)));
        let inspected = json(&ok(["inspect", &archive, "--json"]));
        let tensors = rows(&format!("{report}/tensors.csv"));
        assert_eq!(
            tensors.len(),
            inspected["tensors"].as_array().unwrap().len()
        );
        for (row, tensor) in tensors.iter().zip(inspected["tensors"].as_array().unwrap()) {
            assert_eq!(row["tensor"], tensor["name"].as_str().unwrap());
            assert_eq!(row["type"], tensor["dtype"].as_str().unwrap());
            assert_eq!(row["bytes_after"], tensor["stored_bytes"].to_string());
            let bits = 8.0 * number(row, "bytes_after") / number(row, "elements");
            assert!((number(row, "bits") - bits).abs() < 1e-9);
            let has_bound = row["method"].ends_with("-bound");
            assert_eq!(has_bound, !row["limit_bits"].is_empty(), "{row:?}");
            assert_eq!(row["past_bound"], if has_bound { "0.0" } else { "" });
            if has_bound {
                // Coders of numbers that know no more than their distribution.
                assert!(
                    number(row, "bits") > number(row, "limit_bits") - 0.05,
                    "{row:?}"
                );
                let errors = ["mean_error", "root_mean_square_error", "greatest_error"];
                let errors = errors.map(|name| number(row, name));
                assert!(errors.is_sorted() && errors[2] > 0.0, "{row:?}");
            }
            if matches!(row["method"].as_str(), "error-bound" | "relative-bound") {
                assert!(number(row, "greatest_error") <= number(row, "bound"));
            }
        }
        let lossy = tensors
            .iter()
            .filter(|row| row["method"] != "exact")
            .count();
        let expected = match options {
            [] => 0,
            ["--quantize", ..] => 2,
            _ => 3,
        };
        assert_eq!(lossy, expected, "{options:?}");
        let told: Value =
            serde_json::from_slice(&fs::read(format!("{report}/run.json")).unwrap()).unwrap();
        for field in ["original_bytes", "stored_bytes", "ratio"] {
            assert_eq!(told[field], packed[field], "{field}");
        }
        assert_eq!(told["lossy_tensors"], lossy);
        let arguments = told["arguments"].as_array().unwrap();
        assert!(
            options
                .iter()
                .all(|option| arguments.contains(&Value::from(*option)))
        );
        let inventory = rows(&format!("{report}/inventory.csv"));
        assert_eq!(inventory[0]["shape"], "512x128");
        assert_eq!(inventory[4]["shape"], "");
        let bytes: f64 = inventory.iter().map(|row| number(row, "bytes")).sum();
        assert_eq!(
            bytes,
            tensors
                .iter()
                .map(|row| number(row, "bytes_before"))
                .sum::<f64>()
        );
        is_page(&format!("{report}/index.html"));
    }
}

#[test]
fn the_report_of_a_directory_has_all_its_shards() {
    let dir = Dir::new();
    dir.write("m/a.safetensors", &model(1));
    dir.write("m/sub/b.safetensors", &model(9));
    // Nothing is gained by packing that.
    dir.write(
        "m/noise.safetensors",
        &safetensors(&[("n", "U8", &[9999], support::noise(3, 9999))]),
    );
    dir.write("m/config.json", b"{}");
    let report = dir.path("report");
    let packed = json(&ok([
        "pack",
        &dir.path("m"),
        "-o",
        &dir.path("out"),
        "--error-bound",
        "1e-3",
        "--report",
        &report,
        "--json",
    ]));
    let tensors = rows(&format!("{report}/tensors.csv"));
    let shards: Vec<_> = tensors.iter().map(|row| row["shard"].as_str()).collect();
    assert_eq!(&shards[..5], ["a.safetensors"; 5]);
    assert_eq!(shards[5], "noise.safetensors");
    assert_eq!(&shards[6..], ["sub/b.safetensors"; 5]);
    assert_eq!(tensors[5]["bytes_after"], "9999");
    let told: Value =
        serde_json::from_slice(&fs::read(format!("{report}/run.json")).unwrap()).unwrap();
    let shards = told["shards"].as_array().unwrap();
    let stored: u64 = shards
        .iter()
        .map(|shard| shard["stored_bytes"].as_u64().unwrap())
        .sum();
    // And the two bytes of config.json.
    assert_eq!(stored + 2, packed["stored_bytes"].as_u64().unwrap());
}

#[test]
fn a_sweep_goes_on_where_it_was_stopped() {
    let dir = Dir::new();
    let source = dir.write("m.safetensors", &model(1));
    let out = dir.path("out");
    let sweep = |options: &[&str]| {
        let start = ["sweep", &source, "-o", &out, "--json"];
        json(&ok(start.iter().chain(options)))
    };
    let both = ["--error-bounds", "1e-2,1e-3", "--quantize", "int4"];
    let found = sweep(&["--error-bounds", "1e-2"]);
    assert_eq!(found["packed_settings"], 1);
    let found = sweep(&both);
    assert_eq!(found["packed_settings"], 2);
    let settings = found["settings"].as_array().unwrap();
    let names: Vec<_> = settings
        .iter()
        .map(|one| one["setting"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["error-bound=1e-2", "error-bound=1e-3", "int4"]);
    is_page(&format!("{out}/index.html"));
    let sheet = format!("{out}/sweep.csv");
    let all = rows(&sheet);
    assert_eq!(all.len(), 15);
    // As `pack` does.
    let archive = dir.path("m.wfz");
    let packed = json(&ok([
        "pack",
        &source,
        "-o",
        &archive,
        "--error-bound",
        "1e-3",
        "--json",
    ]));
    assert_eq!(settings[1]["stored_bytes"], packed["stored_bytes"]);
    let inspected = json(&ok(["inspect", &archive, "--json"]));
    for (row, tensor) in all[5..10]
        .iter()
        .zip(inspected["tensors"].as_array().unwrap())
    {
        assert_eq!(row["setting"], "error-bound=1e-3");
        assert_eq!(row["bytes_after"], tensor["stored_bytes"].to_string());
    }
    // Nothing is left but what is told.
    assert_eq!(dir.names("out"), ["index.html", "sweep.csv"]);
    assert_eq!(sweep(&both)["packed_settings"], 0);
    // Stopped while it wrote: what is not whole is done again.
    let text = fs::read_to_string(&sheet).unwrap();
    fs::write(&sheet, &text[..text.len() - 9]).unwrap();
    let found = sweep(&both);
    assert_eq!(found["packed_settings"], 1);
    assert_eq!(found["settings"].as_array().unwrap().len(), 3);
    assert_eq!(rows(&sheet).len(), 15);
    // Another level is another setting, and archives that are wanted now are made now.
    assert_eq!(
        sweep(&["--quantize", "int4", "--level", "fast"])["packed_settings"],
        1
    );
    assert_eq!(
        sweep(&["--quantize", "int4", "--keep"])["packed_settings"],
        1
    );
    assert_eq!(
        sweep(&["--quantize", "int4", "--keep"])["packed_settings"],
        0
    );
    ok([
        "verify",
        &dir.path("out/archives/int4-default/m.safetensors.wfz"),
    ]);
    assert_eq!(rows(&sheet).len(), 20);
}

#[test]
fn a_sweep_of_a_directory_keeps_all_its_files() {
    let dir = Dir::new();
    dir.write("m/a.safetensors", &model(1));
    dir.write("m/b.safetensors", &model(9));
    dir.write("m/config.json", b"{}");
    let start = ["sweep", &dir.path("m"), "-o", &dir.path("out"), "--keep"];
    let table = ok(start
        .iter()
        .chain(&["--row-bounds", "0.1", "--pointwise-bounds", "0.1"]));
    assert!(
        table.contains("row-bound=1e-1") && table.contains("index.html"),
        "{table}"
    );
    assert_eq!(rows(&dir.path("out/sweep.csv")).len(), 20);
    let kept = dir.names("out/archives/pointwise-bound=1e-1-default/model");
    assert_eq!(
        kept,
        ["a.safetensors.wfz", "b.safetensors.wfz", "config.json"]
    );
}

#[test]
fn what_cannot_be_swept_is_told() {
    let dir = Dir::new();
    let source = dir.write("m.safetensors", &model(1));
    let other = dir.write("other.safetensors", &model(2));
    let bytes = dir.write("bytes", b"no model");
    let table = dir.write("table.csv", b"name,bits\na,4\n");
    let out = dir.path("out");
    ok(["sweep", &source, "-o", &out, "--quantize", "int8"]);
    let archive = dir.path("m.wfz");
    ok(["pack", &source, "-o", &archive]);
    fs::create_dir(dir.path("empty")).unwrap();
    let fails = |given: &[&str], what: &str| {
        let (status, _, said) = run(["sweep"].iter().chain(given));
        assert_eq!(status, 2, "{given:?}: {said}");
        assert!(
            said.contains(what) && !said.contains("panicked"),
            "{given:?}: {said}"
        );
    };
    let int8 = ["--quantize", "int8"];
    fails(&[&source, "-o", &out], "no setting to sweep over");
    fails(
        &[&source, "-o", &out, "--error-bounds", "1e-3,0"],
        "a bound of 0 is not possible",
    );
    fails(
        &[&source, "-o", &out, "--error-bounds", "x"],
        "invalid value 'x'",
    );
    fails(
        &[&source, "-o", &out, "--quantize", "int3"],
        "invalid value 'int3'",
    );
    fails(
        &[&source, "-o", &out, int8[0], int8[1], "--group", "0"],
        "groups of 0",
    );
    fails(
        &[&other, "-o", &out, int8[0], int8[1]],
        "is of another model",
    );
    let new = dir.path("new");
    fails(&[&bytes, "-o", &new, int8[0], int8[1]], "no tensors");
    fails(&[&archive, "-o", &new, int8[0], int8[1]], "m.wfz");
    fails(
        &[&dir.path("empty"), "-o", &new, int8[0], int8[1]],
        "no tensors",
    );
    fails(
        &[&dir.path("gone"), "-o", &new, int8[0], int8[1]],
        "cannot read",
    );
    fails(
        &[&source, "-o", &table, int8[0], int8[1]],
        "cannot make the directory",
    );
    let evaluated = ["--evaluation", table.as_str()];
    fails(
        &[
            &source,
            "-o",
            &new,
            int8[0],
            int8[1],
            evaluated[0],
            evaluated[1],
        ],
        "no column kl_mean",
    );
    assert!(
        !fs::exists(&new).unwrap(),
        "nothing is made for what fails at once"
    );
    fs::create_dir(&new).unwrap();
    fs::copy(&table, dir.path("new/sweep.csv")).unwrap();
    fails(
        &[&source, "-o", &new, int8[0], int8[1]],
        "is no sheet of `weightfs sweep`",
    );
    // The model is not what it was.
    let file = fs::File::options().write(true).open(&source).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(99))
        .unwrap();
    fails(
        &[&source, "-o", &out, int8[0], int8[1]],
        "this one before it changed",
    );
    let report = dir.path("report");
    let (status, _, said) = run(["pack", &source, "--replace", "--report", &report]);
    assert!(
        status == 2 && said.contains("cannot be used with"),
        "{said}"
    );
}

#[test]
fn an_evaluation_marks_where_quality_falls() {
    let dir = Dir::new();
    let source = dir.write("m.safetensors", &model(1));
    let table = dir.write(
        "results.csv",
        b"name,bits,kl_mean\noriginal,16,0\nwfz 8,8,0.0001\nwfz <5>,5,0.008\nwfz 3,3,0.4\n",
    );
    let out = dir.path("out");
    let found = json(&ok([
        "sweep",
        &source,
        "-o",
        &out,
        "--quantize",
        "int4,int8",
        "--evaluation",
        &table,
        "--json",
    ]));
    assert_eq!(found["enough_bits"], 5.0);
    let page = fs::read_to_string(dir.path("out/index.html")).unwrap();
    assert_eq!(page.matches("quality falls to the left").count(), 2);
    assert!(page.contains("wfz &lt;5&gt;"));
}
