//! The programs in examples/ do what they say.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

#[path = "../examples/mount_and_wait.rs"]
#[allow(dead_code, reason = "main is for the command line")]
mod mount_and_wait;
#[path = "../examples/pack_with_progress.rs"]
#[allow(dead_code, reason = "main is for the command line")]
mod pack_with_progress;
#[path = "../examples/read_tensor.rs"]
#[allow(dead_code, reason = "main is for the command line")]
mod read_tensor;

use std::fs;

use support::{Place, Watched, model};

#[test]
fn packing_tells_how_far_it_is_and_tensors_come_out_of_the_archive() {
    let place = Place::new();
    let source = place.write("model.safetensors", &model(1, 2));
    let archive = source.with_extension("safetensors.wfz");
    pack_with_progress::show(&source, &archive).unwrap();
    assert!(archive.metadata().unwrap().len() < source.metadata().unwrap().len());
    read_tensor::show(&archive, None).unwrap();

    // What the example reads is what the file has.
    let opened = weightfs::Archive::open(&archive).unwrap();
    let original = fs::read(&source).unwrap();
    let names: Vec<_> = opened
        .tensors()
        .unwrap()
        .iter()
        .map(|t| t.name.clone())
        .collect();
    assert!(names.len() > 3);
    for name in &names {
        let (tensor, bytes) = opened.tensor(name).unwrap().unwrap();
        let start = usize::try_from(tensor.range.start).unwrap();
        assert_eq!(bytes, original[start..start + bytes.len()], "{name}");
    }
    read_tensor::show(&archive, Some(&names[0])).unwrap();
    read_tensor::show(&archive, Some("no such tensor")).unwrap();
    assert!(opened.read_at(&mut [0], opened.file_bytes()).is_err());
    assert!(read_tensor::show(&source, None).is_err(), "not an archive");
}

#[test]
fn a_program_mounts_lists_and_unmounts() {
    let place = Place::new();
    place.pack("model.safetensors", &model(2, 1));
    let mountpoint = place.mountpoint.clone();
    let _watched = Watched::new(&mountpoint);
    mount_and_wait::show(&place.source, &mountpoint).unwrap();
    assert!(!support::is_mounted(&mountpoint));
}
