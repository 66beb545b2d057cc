//! The order of the house, and who may know what: all that there is to change when a file comes,
//! goes or moves. A list that is out of date fails the test, which says what it should be.

/// Every folder with its files and folders, from the lowest to the highest. The first is the crate:
/// its rooms follow the bytes from the disk to the reader. A folder's `mod.rs` is above all of them.
pub const ORDER: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "error", "sync", "os", "simd", "plane", "format", "storage", "codec", "block", "model",
            "archive", "job", "file", "fs", "fuse", "api", "daemon", "console", "bench", "cli",
            "main",
        ],
    ),
    ("api", &["archive", "mount"]),
    ("archive", &["reader", "writer", "read_at"]),
    ("bench", &["median", "process", "codecs", "mounts"]),
    (
        "bench/codecs",
        &[
            "args",
            "contender",
            "figures",
            "stream",
            "codec_report",
            "plot",
            "expected_time",
            "measured",
            "child",
            "original",
            "comparison",
            "command",
        ],
    ),
    (
        "bench/mounts",
        &[
            "null",
            "watch",
            "server",
            "targets",
            "machine",
            "reader",
            "in_order",
            "shuffled",
            "random",
            "workload",
            "args",
            "processes",
            "setup",
            "compare",
            "opened",
            "ways",
            "rounds",
            "medians",
            "mount_report",
            "command",
            "mount_tables",
        ],
    ),
    ("block", &["decode", "encode"]),
    (
        "cli",
        &[
            "args",
            "analyze",
            "mount",
            "mount_helper",
            "demo",
            "stats",
            "job_report",
            "commands",
        ],
    ),
    (
        "cli/analyze",
        &["words", "text", "plots", "html", "command"],
    ),
    ("cli/demo", &["sample_model", "run"]),
    (
        "codec",
        &[
            "parts", "symbol", "ans", "huffman", "float", "general", "scaled", "trimmed",
        ],
    ),
    (
        "codec/ans",
        &[
            "carried",
            "piece",
            "table",
            "avx2",
            "encode",
            "encode_avx512",
            "choose",
            "plane",
            "portable",
            "kernel",
            "avx512",
            "each",
        ],
    ),
    (
        "codec/general",
        &["arithmetic", "deflate", "lz4", "lzma", "run_length"],
    ),
    ("codec/huffman", &["code", "encode", "table", "lanes"]),
    (
        "codec/scaled",
        &[
            "mean", "context", "plane", "fit", "profile", "decode", "encode",
        ],
    ),
    ("codec/symbol", &["avx2", "avx512", "plan", "portable"]),
    (
        "console",
        &[
            "chart",
            "outcome",
            "print",
            "size",
            "serving",
            "stop",
            "progress",
            "text_table",
        ],
    ),
    ("console/chart", &["labels", "drawing", "scale", "ticks"]),
    (
        "daemon",
        &[
            "background",
            "guard",
            "metrics",
            "metrics_server",
            "supervisor",
            "watchdog",
        ],
    ),
    ("file", &["cache", "ahead", "shared"]),
    ("file/ahead", &["order", "streams", "prefetch"]),
    (
        "format",
        &[
            "block_header",
            "element",
            "geometry",
            "index",
            "name",
            "profiles",
            "superblock",
        ],
    ),
    (
        "fs",
        &[
            "xattr",
            "facts",
            "source",
            "inode",
            "attr",
            "errno",
            "open_files",
            "place",
            "links",
            "nodes",
            "view",
            "open_archive",
            "archives",
            "statistics",
            "model_tree",
            "successors",
        ],
    ),
    ("fs/source", &["local", "directory"]),
    (
        "fuse",
        &[
            "mountinfo",
            "abort",
            "progress",
            "server",
            "connection",
            "mount",
        ],
    ),
    (
        "job",
        &[
            "attributes",
            "inspect",
            "output",
            "pipeline",
            "source_file",
            "walk",
            "archives",
            "monitor",
            "blocks",
            "read_back",
            "survey",
            "verify",
            "totals",
            "directory_plan",
            "pack",
            "analyze",
            "unpack",
            "replace",
        ],
    ),
    (
        "job/analyze",
        &[
            "counts",
            "ceiling",
            "values",
            "redundancy",
            "options",
            "expect",
            "facts",
            "gather",
            "run",
        ],
    ),
    (
        "model",
        &[
            "bounds",
            "read_at",
            "tensor",
            "safetensors",
            "gguf",
            "format",
            "header",
            "extents",
            "names",
        ],
    ),
    (
        "os",
        &[
            "memory",
            "page_cache",
            "paths",
            "positional",
            "pressure",
            "write_back",
        ],
    ),
    ("plane", &["pack"]),
    ("simd", &["avx2", "avx512"]),
    ("storage", &["mapped"]),
];

/// Two ways to use archives, which do not know of each other: jobs on files, and mounts.
pub const WINGS: [&[&str]; 2] = [&["job"], &["file", "fs", "fuse", "daemon"]];

/// Crates that only some rooms or files know.
pub const CRATES: &[(&str, &[&str])] = &[
    ("bzip2", &["codec", "bench"]),
    ("clap", &["cli", "bench"]),
    ("flate2", &["codec", "bench"]),
    ("fuser", &["fuse", "bench/mounts/null.rs"]),
    ("httparse", &["daemon"]),
    ("indicatif", &["console", "bench"]),
    ("liblzma", &["codec", "bench"]),
    ("lz4", &["codec", "bench"]),
    ("memmap2", &["os", "storage"]),
    ("zstd", &["codec", "bench"]),
];

/// The rooms of the crate, lowest first.
pub fn rooms() -> &'static [&'static str] {
    ORDER[0].1
}

pub fn room_of(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}
