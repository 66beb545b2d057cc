//! A store of Ollama that is adopted and mounted over itself: llama.cpp loads from it, and models are pulled into it and removed.

use std::path::{Path, PathBuf};

use super::Test;
use super::store::{Store, entries, length};
use super::support::ok;

/// A model that was there says the same; so does one that is pulled, in two goes, while it is packed and after; where a model is
/// removed, its archive goes.
#[test]
#[ignore = "needs the network; tests/run runs it"]
fn an_ollama_store_is_adopted_pulled_into_and_packed() {
    let test = Test::new();
    let raw = test.directory("raw");
    let first = test.gemma(&raw);
    let second = raw.join("second.gguf");
    test.script("gguf_files.py", "rename", &[&first, &second]);
    let path = test.directory("models");
    let get = |verb: &str, args: &[&Path]| {
        let blob = test.script("ollama_store.py", verb, &[&[path.as_path()], args].concat());
        PathBuf::from(blob.trim_end())
    };
    let says_the_same = |gguf: &Path, blob: &Path| {
        print!(
            "{}",
            test.script("llama_cpp_model.py", "compare", &[gguf, blob])
        );
    };

    let first_blob = get("pull", &[&first, Path::new("first")]);
    let before = entries(&path);
    ok(["adopt", "--no-unit", path.to_str().unwrap()]);
    let store = Store::mount(&path);
    assert_eq!(entries(&path), before);
    assert_is_archive(&store, &first, &first_blob);
    says_the_same(&first, &first_blob);

    let second_blob = get("begin", &[&second]);
    store.wait_until_packed(0);
    // It stays as it is, though as long as a model.
    assert_eq!(
        length_below(&store, &second_blob, "-partial"),
        length(&second)
    );
    assert_eq!(get("pull", &[&second, Path::new("second")]), second_blob);
    says_the_same(&second, &second_blob);
    let packing = store.wait_until_packed(1);
    println!("{packing}");
    assert_is_archive(&store, &second, &second_blob);
    says_the_same(&second, &second_blob);

    let store = store.remounted();
    says_the_same(&second, &second_blob);
    test.script("ollama_store.py", "remove", &[&path, Path::new("second")]);
    assert_eq!(entries(&path), before);
    assert_eq!(entries(&store.below("")).len(), before.len());
    store.unmount();
    ok(["adopt", "--undo", "--no-unit", path.to_str().unwrap()]);
    assert_eq!(entries(&path), before);
}

/// On the disk a blob is an archive, smaller than the model.
fn assert_is_archive(store: &Store, gguf: &Path, blob: &Path) {
    let (original, stored) = (length(gguf), length_below(store, blob, ".wfz"));
    println!("a model of {original:?} bytes is an archive of {stored:?}");
    assert!(stored.is_some() && stored < original);
    assert_eq!(length_below(store, blob, ""), None);
}

/// How long what has such a suffix to the name of a blob is on the disk.
fn length_below(store: &Store, blob: &Path, suffix: &str) -> Option<u64> {
    let mut path = store.below(blob.strip_prefix(&store.path).unwrap());
    path.as_mut_os_string().push(suffix);
    length(&path)
}
