//! Packs any file, with a safetensors or GGUF header or what looks like one, by every method: it comes
//! back byte for byte, and so does one that is packed against it. What is analyzed is not rejected either.
#![no_main]

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use libfuzzer_sys::fuzz_target;
use weightfs::codec::Method;
use weightfs::job::{
    AnalyzeOptions, BaseAsked, BaseSearch, Monitor, PackOptions, UnpackOptions, VerifyOptions,
    analyze, pack_file, unpack_file, verify,
};
use weightfs_fuzz::{AS_IT_IS, Input, LEVELS, gguf_file, safetensors};

static NEVER: AtomicBool = AtomicBool::new(false);

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let methods: Vec<_> = Method::offered().collect();
    let method = input.one_of(&methods);
    let level = input.one_of(&LEVELS);
    let block_bytes = input.one_of(&[None, Some(4096), Some(1 << 16)]);
    let file = match input.byte() {
        AS_IT_IS => input.rest().to_vec(),
        how if how % 2 == 0 => gguf_file(&mut input),
        _ => safetensors(&mut input),
    };
    check(&file, method, level, block_bytes);
});

fn check(file: &[u8], method: Method, level: weightfs::codec::Level, block_bytes: Option<u32>) {
    let directory = tempfile::tempdir_in("/dev/shm").expect("shared memory");
    let path = |name: &str| directory.path().join(name);
    fs::write(path("file"), file).expect("space");
    let monitor = Monitor::silent(&NEVER);
    let one = NonZeroUsize::MIN;
    let pack = PackOptions {
        method,
        level,
        block_bytes,
        threads: one,
        ..PackOptions::default()
    };
    if let Err(error) = pack_file(&path("file"), &path("file.wfz"), &pack, &monitor) {
        // Nothing but an archive is refused.
        assert!(error.to_string().contains("archive already"), "{error}");
        return;
    }
    comes_back(&path("file.wfz"), file);

    // As after some training.
    let mut tuned = file.to_vec();
    for byte in tuned.iter_mut().skip(file.len() / 3).step_by(97) {
        *byte = byte.wrapping_add(1);
    }
    fs::write(path("tuned"), &tuned).expect("space");
    let beside = PackOptions {
        base: Some(BaseAsked::Named(path("file.wfz"))),
        ..pack
    };
    match pack_file(&path("tuned"), &path("tuned.wfz"), &beside, &monitor) {
        Ok(_) => comes_back(&path("tuned.wfz"), &tuned),
        Err(error) => assert!(error.to_string().contains("no model"), "{error}"),
    }
    let options = AnalyzeOptions {
        sample_bytes: 1 << 16,
        threads: one,
    };
    let found = analyze(&path("file"), &options, &monitor).expect("any file");
    assert_eq!(found.original_bytes, file.len() as u64);
}

fn comes_back(archive: &Path, file: &[u8]) {
    let monitor = Monitor::silent(&NEVER);
    let one = NonZeroUsize::MIN;
    let back = archive.with_file_name("back");
    let deep = VerifyOptions {
        threads: one,
        deep: true,
        bases: BaseSearch::default(),
    };
    let found = verify(&[archive.to_path_buf()], &deep, &monitor).expect("memory");
    assert_eq!(found[0].problem_count, 0, "{:?}", found[0].problems);
    let unpack = UnpackOptions {
        threads: one,
        force: true,
        ..UnpackOptions::default()
    };
    unpack_file(archive, &back, &unpack, &monitor).expect("a sound archive");
    assert!(fs::read(back).expect("a file") == file, "other bytes");
}
