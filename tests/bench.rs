//! `bench`: every contender gives the file back, and the figures are there for people and programs.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::gguf::quantized;
use support::{Dir, json, model, ok, run, weightfs};

#[test]
fn bench_stores_what_pack_stores_and_leaves_nothing_behind() {
    let dir = Dir::new();
    let original = model(20, 1);
    let file = dir.write("m.safetensors", &original);
    fs::create_dir(dir.path("tmp")).unwrap();
    let packed = |options: &[&str]| {
        let archive = dir.path("packed.wfz");
        let command = [
            &["pack", &file, "-o", &archive, "--force", "--json"],
            options,
        ]
        .concat();
        json(&ok(command))["stored_bytes"].clone()
    };
    let mut expected = vec![
        ("split-huffman", packed(&["--codec", "split-huffman"])),
        (
            "deflate:max",
            packed(&["--codec", "deflate", "--level", "max"]),
        ),
        ("weights:fast", packed(&["--level", "fast"])),
        ("weights:default", packed(&[])),
        ("weights:max", packed(&["--level", "max"])),
    ];
    let common = ["--threads", "2", "--rounds", "2", "--tmp", &dir.path("tmp")];
    let codecs = "gzip-1,zstd-3,split-huffman,weights,deflate:max";
    let bench =
        |more: &[&str]| ok([&["bench", &file, "--codecs", codecs], &common[..], more].concat());
    let found = json(&bench(&["--json"]));
    assert_eq!(found["original_bytes"], original.len());
    assert_eq!(found["path"], file.as_str());
    assert_eq!(
        (&found["threads"], &found["rounds"]),
        (&2.into(), &2.into())
    );
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 7);
    for result in results {
        let name = result["name"].as_str().unwrap();
        let number = |field: &str| result[field].as_f64().unwrap();
        let ratio = original.len() as f64 / number("stored_bytes");
        assert!((number("ratio") - ratio).abs() < 1e-9, "{name}");
        let is_stream = name.contains("gzip") || name.contains("zstd");
        for work in ["encode", "decode"] {
            assert!(number(&format!("{work}_seconds")) > 0.0, "{name}");
            assert!(number(&format!("{work}_mb_per_s")) > 0.0, "{name}");
            assert!(number(&format!("{work}_peak_bytes")) > 1e6, "{name}");
            for all in ["all_seconds", "all_mb_per_s"] {
                let all = &result[&format!("{work}_{all}")];
                assert_eq!(all.is_null(), is_stream, "{name}");
            }
        }
        if let Some(at) = expected.iter().position(|(known, _)| *known == name) {
            assert_eq!(result["stored_bytes"], expected.remove(at).1, "{name}");
        }
    }
    assert!(expected.is_empty(), "{expected:?}");
    let ratios: Vec<_> = results.iter().map(|r| r["ratio"].as_f64()).collect();
    assert!(ratios.is_sorted_by(|a, b| a >= b), "{ratios:?}");
    // Nobody is smaller than the first.
    assert_eq!(results[0]["pareto"], true);

    let one = [
        "bench",
        &file,
        "--codecs",
        "weights:fast,gzip-1",
        "--rounds",
        "1",
    ];
    let csv = ok(one.iter().chain(&["--csv"]));
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("name,stored_bytes,ratio,"), "{csv}");
    assert!(lines[1].starts_with("weights:fast,"), "{csv}");
    let table = ok(one.iter().chain(&["--threads", "1"]));
    assert!(table.contains("* weights:fast "), "{table}");

    assert!(dir.names("tmp").is_empty());
    assert_eq!(dir.names(""), ["m.safetensors", "packed.wfz", "tmp"]);
    assert!(fs::read(&file).unwrap() == original);
}

#[test]
fn bench_beside_a_base_has_what_rests_on_it_and_what_is_published() {
    let dir = Dir::new();
    let base = model(20, 1);
    let mut tuned = base.clone();
    let numbers = tuned[base.len() / 2..].iter_mut().step_by(14);
    numbers.take(30_000).for_each(|byte| *byte ^= 1);
    let file = dir.write("tuned.safetensors", &tuned);
    let base = dir.write("base.safetensors", &base);
    let tmp = dir.path("tmp");
    fs::create_dir(&tmp).unwrap();
    let bench = |base: &str| {
        let common = ["--rounds", "1", "--threads", "2", "--tmp", &tmp, "--json"];
        let found = json(&ok(
            [&["bench", &file, "--base", base], &common[..]].concat()
        ));
        let results = found["results"].as_array().unwrap().iter();
        let bytes = |one: &Value| one["stored_bytes"].as_u64().unwrap();
        results
            .map(|one| (one["name"].as_str().unwrap().to_owned(), bytes(one)))
            .collect::<HashMap<_, _>>()
    };
    let found = bench(&base);
    let mut names: Vec<_> = found.keys().map(String::as_str).collect();
    names.sort_unstable();
    let usual = "beside:default,beside:fast,beside:max,weights:default,weights:fast,weights:max,xor-zstd-19,xor-zstd-3";
    assert_eq!(names.join(","), usual);
    assert!(
        found["beside:default"] < found["weights:default"],
        "{found:?}"
    );
    assert!(found["xor-zstd-3"] < found["weights:default"]);
    // An archive of the base does as well.
    ok(["pack", &base]);
    assert_eq!(bench(&format!("{base}.wfz")), found);
    assert!(dir.names("tmp").is_empty());

    ok([
        "pack",
        &file,
        "--base",
        &base,
        "-o",
        &dir.path("packed.wfz"),
    ]);
    let packed = fs::metadata(dir.path("packed.wfz")).unwrap().len();
    // The record of the base has another name in it.
    assert!(packed.abs_diff(found["beside:default"]) < 4096);
    let (status, _, told) = run(["bench", &file, "--base", &dir.path("")]);
    assert_eq!(status, 2);
    assert!(told.contains("is a directory"), "{told}");
}

#[test]
fn bench_makes_of_a_base_what_is_taken_and_no_more() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &model(20, 1));
    // Nothing that could be packed or unpacked.
    ok(["pack", &file, "-o", &dir.path("cut.wfz")]);
    let archive = fs::read(dir.path("cut.wfz")).unwrap();
    let cut = dir.write("cut.wfz", &archive[..archive.len() / 2]);
    let bench = |codecs: &str| {
        let common = ["--rounds", "1", "--threads", "1", "--csv"];
        run([
            &["bench", &file, "--base", &cut, "--codecs", codecs],
            &common[..],
        ]
        .concat())
    };
    let (status, stdout, told) = bench("gzip-1");
    assert_eq!(status, 0, "{told}");
    assert!(stdout.contains("\ngzip-1,"), "{stdout}");
    for codecs in ["gzip-1,xor-zstd-3", "beside:fast"] {
        let (status, _, told) = bench(codecs);
        assert_eq!(status, 2, "{codecs}");
        assert!(told.contains("cut.wfz"), "{codecs}: {told}");
    }
}

#[test]
fn bench_of_quantized_weights_has_what_is_published_for_them() {
    let dir = Dir::new();
    let original = quantized(24, 1);
    let file = dir.write("m.gguf", &original);
    let bench = |file: &str, codecs: &str| {
        let common = ["--rounds", "1", "--threads", "1", "--tmp", &dir.path("")];
        ok([&["bench", file, "--codecs", codecs, "--json"], &common[..]].concat())
    };
    let found = json(&bench(
        &file,
        "streams-zstd,zstd-19,weights:default,zstd:max",
    ));
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    let ratio = |name: &str| {
        let one = results.iter().find(|one| one["name"] == name).unwrap();
        assert!(
            one["decode_all_seconds"].is_null() == name.contains("-19"),
            "{one}"
        );
        one["ratio"].as_f64().unwrap()
    };
    // Fields that are apart are smaller than whole records, in streams of any length.
    assert!(ratio("streams-zstd-19") > ratio("zstd-19"));
    assert!((ratio("streams-zstd-19") / ratio("zstd:max") - 1.0).abs() < 0.02);
    let table = ok([
        "bench",
        &file,
        "--codecs",
        "streams-zstd-19",
        "--rounds",
        "1",
    ]);
    assert!(table.contains("streams-zstd-19 "), "{table}");

    // What has no records, is cut off within one, or is next to nothing comes back as well.
    for (name, bytes) in [
        ("m.safetensors", &model(24, 1)[..]),
        ("cut.gguf", &original[..original.len() - 100]),
        ("x", b"x"),
    ] {
        let found = json(&bench(&dir.write(name, bytes), "streams-zstd-19"));
        assert_eq!(found["original_bytes"], bytes.len());
    }
}

#[test]
fn bench_refuses_what_it_cannot_compare_before_it_starts() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &model(21, 1));
    let empty = dir.write("empty", b"");
    fs::create_dir(dir.path("directory")).unwrap();
    for (args, expected) in [
        (
            &[&file[..], "--codecs", "weights,zip"][..],
            "'zip' is no codec",
        ),
        (
            &[&file, "--codecs", "xz-5"],
            "split-arithmetic, beside:fast",
        ),
        (&[&file, "--codecs", ""], "weights:default"),
        (
            &[&file, "--codecs", "beside,gzip-1"],
            "'beside' compares a file beside its base: say which with --base",
        ),
        (
            &[&dir.path("missing"), "--codecs", "gzip-1,xor-zstd-3"],
            "--base",
        ),
        (&[&file, "--json", "--csv"], "cannot be used with"),
        (&[&file, "--rounds", "0"], "--rounds"),
        (&[&file, "--plot", &file], "is the file that is compressed"),
        (&[&file, "--plot", &dir.path("no/x.svg")], "does not exist"),
        (&[&file, "--plot", &dir.path("directory")], "is a directory"),
        (&[&file, "--tmp", &dir.path("no")], "temporary directory"),
        (&[&empty], "empty"),
        (&[&dir.path("directory")], "name a file in it"),
        (&[&dir.path("missing")], "cannot read"),
        (&["/dev/null"], "not a regular file"),
    ] {
        let (status, stdout, stderr) = run([&["bench"], args].concat());
        assert_eq!(status, 2, "{args:?}: {stdout}{stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
        assert_eq!(stdout, "", "{args:?}");
    }
    // What goes wrong in a process of its own is told with the contender's name.
    let archive = dir.path("m.safetensors.wfz");
    ok(["pack", &file]);
    let (status, _, stderr) = run(["bench", &archive, "--codecs", "gzip-1,weights:fast"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("weights:fast could not encode"), "{stderr}");
    assert!(stderr.contains("is a weightfs archive already"), "{stderr}");
}

#[test]
fn bench_draws_what_it_measured() {
    let dir = Dir::new();
    let file = dir.write("a & b.safetensors", &model(22, 1));
    let plot = dir.write("plot.svg", b"of yesterday");
    let codecs = [
        "--codecs",
        "weights:fast,split-huffman,gzip-1",
        "--rounds",
        "1",
    ];
    ok(["bench", &file, "--plot", &plot].iter().chain(&codecs));
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    assert!(svg.contains("a &amp; b.safetensors"), "{svg}");
    for name in ["weights:fast", "split-huffman", "gzip-1"] {
        assert!(svg.contains(&format!(">{name}</text>")), "{svg}");
    }
    assert_eq!(dir.names(""), ["a & b.safetensors", "plot.svg"]);
}

#[test]
fn bench_that_is_interrupted_ends_its_processes_and_leaves_nothing_behind() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &model(23, 12));
    fs::create_dir(dir.path("tmp")).unwrap();
    let mut bench = weightfs()
        .args([
            "bench",
            &file,
            "--codecs",
            "xz-9",
            "--tmp",
            &dir.path("tmp"),
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", bench.id());
    let child = loop {
        let children = fs::read_to_string(&children).unwrap();
        if let Some(child) = children.split_whitespace().next() {
            break child.to_owned();
        }
        assert!(bench.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    };
    support::signal(bench.id(), "TERM");
    let output = bench.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("interrupted"), "{stderr}");
    assert!(!Path::new("/proc").join(child).exists());
    assert!(dir.names("tmp").is_empty());
}
