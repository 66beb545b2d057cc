//! Packs any file, with a safetensors header or what looks like one, by every method: it comes back
//! byte for byte. What is analyzed is not rejected either.
#![no_main]

use std::fs;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use libfuzzer_sys::fuzz_target;
use weightfs::codec::ByteMethod;
use weightfs::job::{
    AnalyzeOptions, Method, Monitor, PackOptions, UnpackOptions, VerifyOptions, analyze, pack_file,
    unpack_file, verify,
};
use weightfs_fuzz::{AS_IT_IS, Input, LEVELS};

const METHODS: [Method; 8] = [
    Method::Weights,
    Method::Weights,
    Method::Bytes(ByteMethod::Lz4),
    Method::Bytes(ByteMethod::Deflate),
    Method::Bytes(ByteMethod::Zstd),
    Method::Bytes(ByteMethod::Lzma),
    Method::Bytes(ByteMethod::SplitHuffman),
    Method::Bytes(ByteMethod::SplitArithmetic),
];
const DTYPES: [&str; 8] = ["BF16", "F16", "F32", "F64", "F8_E4M3", "I64", "U8", "F4"];
static NEVER: AtomicBool = AtomicBool::new(false);

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let method = input.one_of(&METHODS);
    let level = input.one_of(&LEVELS);
    let block_bytes = input.one_of(&[None, Some(4096), Some(1 << 16)]);
    let file = if input.byte() == AS_IT_IS {
        input.rest().to_vec()
    } else {
        safetensors(&mut input)
    };
    check(&file, method, level, block_bytes);
});

/// A number of any size.
fn wide(input: &mut Input<'_>) -> u64 {
    let number = u64::from(input.long()) << 32 | u64::from(input.long());
    number >> (input.byte() % 64)
}

/// A file whose header may claim anything about what lies behind it.
fn safetensors(input: &mut Input<'_>) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut at = 0u64;
    for number in 0..input.byte() % 8 {
        let dtype = input.one_of(&DTYPES);
        let rows = u64::from(input.byte());
        let columns = u64::from(input.short() % 300);
        // Mostly where it belongs; sometimes in a gap, over another one, or behind the end.
        let start = match input.byte() % 8 {
            0 => at + u64::from(input.byte()),
            1 => at.saturating_sub(u64::from(input.short())),
            2 => wide(input),
            _ => at,
        };
        let end = match input.byte() % 8 {
            0 => wide(input),
            _ => start.wrapping_add(2 * rows * columns),
        };
        at = end.min(1 << 20);
        entries.push(format!(
            r#""layers.{number}.w":{{"dtype":"{dtype}","shape":[{rows},{columns}],"data_offsets":[{start},{end}]}}"#
        ));
    }
    let mut header = format!("{{{}}}", entries.join(","));
    if input.once_in(4) {
        header.push_str(&" ".repeat(usize::from(input.byte())));
    }
    let mut header = header.into_bytes();
    if input.once_in(8) {
        input.edit(&mut header);
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(&header);
    let data_len = usize::try_from(at).unwrap_or(0).min(1 << 18);
    let mut state = wide(input) | 1;
    let kind = input.byte();
    file.extend((0..data_len).map(|i| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let [.., byte] = state.to_le_bytes();
        match kind % 4 {
            0 => byte,
            1 if i % 2 == 1 => 0x3b | byte & 0x81,
            2 => 0,
            _ => byte & 0x0f,
        }
    }));
    file.truncate(file.len().saturating_sub(usize::from(input.byte() % 16)));
    file
}

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
