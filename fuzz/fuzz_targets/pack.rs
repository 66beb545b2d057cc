//! Packs any file, with a safetensors or GGUF header or what looks like one, by every method: it comes
//! back byte for byte. What is analyzed is not rejected either.
#![no_main]

use std::fs;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use libfuzzer_sys::fuzz_target;
use weightfs::codec::Method;
use weightfs::job::{
    AnalyzeOptions, Monitor, PackOptions, UnpackOptions, VerifyOptions, analyze, pack_file,
    unpack_file, verify,
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
    let deep = VerifyOptions {
        threads: one,
        deep: true,
    };
    let found = verify(&[path("file.wfz")], &deep, &monitor).expect("memory");
    assert_eq!(found[0].problem_count, 0, "{:?}", found[0].problems);
    let unpack = UnpackOptions {
        threads: one,
        force: false,
    };
    unpack_file(&path("file.wfz"), &path("back"), &unpack, &monitor).expect("a sound archive");
    assert!(
        fs::read(path("back")).expect("a file") == file,
        "other bytes"
    );
    let options = AnalyzeOptions {
        sample_bytes: 1 << 16,
        threads: one,
    };
    let found = analyze(&path("file"), &options, &monitor).expect("any file");
    assert_eq!(found.original_bytes, file.len() as u64);
}
