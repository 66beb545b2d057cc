//! A store of Ollama that is adopted and mounted over itself: llama.cpp loads from it, and models are pulled into it and removed.

use std::fs;
use std::path::{Path, PathBuf};

use super::Test;
use super::store::{Store, entries};
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
    let pull = |gguf: &Path, name: &str| {
        let args = [&path, gguf, Path::new(name)];
        PathBuf::from(test.script("ollama_store.py", "pull", &args).trim_end())
    };
    let says_the_same = |gguf: &Path, blob: &Path| {
        print!(
            "{}",
            test.script("llama_cpp_model.py", "compare", &[gguf, blob])
        );
    };

    let first_blob = pull(&first, "first");
    let before = entries(&path);
    ok(["adopt", "--no-unit", path.to_str().unwrap()]);
    let store = Store::mount(&path);
    assert_eq!(entries(&path), before);
    assert_is_archive(&store, &first, &first_blob);
    says_the_same(&first, &first_blob);

    test.script(
        "ollama_store.py",
        "begin",
        &[&path, &second, Path::new("second")],
    );
    // What is only begun stays as it is, whatever its length.
    store.wait_until_packed(0);
    let second_blob = pull(&second, "second");
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
    let below = store.below(blob.strip_prefix(&store.path).unwrap());
    assert!(!below.exists());
    let archive = PathBuf::from(format!("{}.wfz", below.display()));
    let [original, stored] = [gguf, &archive].map(|path| fs::metadata(path).unwrap().len());
    println!("a model of {original} bytes is an archive of {stored}");
    assert!(stored < original);
}
