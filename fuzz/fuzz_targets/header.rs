//! Reads the header of any file, of whatever container: it ends, and what it gives lies in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weightfs::format::Geometry;
use weightfs::model::{self, FoundTensor, Tensor, TypedRange, extents};
use weightfs_fuzz::{AS_IT_IS, Input, gguf_file, safetensors};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let file = match input.byte() {
        AS_IT_IS => input.rest().to_vec(),
        how if how % 2 == 0 => gguf_file(&mut input),
        _ => safetensors(&mut input),
    };
    check(&file);
});

fn check(file: &[u8]) {
    let header = model::read(file).expect("nothing of what is in memory cannot be read");
    let typed = model::read_typed(file).expect("the same");
    let format = model::recognize(file).expect("the same");
    assert_eq!(format, header.as_ref().map(|header| header.format));
    assert_eq!(format, typed.as_ref().map(|header| header.format));
    if let (Some(header), Some(typed)) = (&header, &typed) {
        let file_bytes = file.len() as u64;
        assert!(header.end <= file_bytes && header.end == typed.end);
        for tensor in &header.tensors {
            assert!(header.end <= tensor.range.start && tensor.range.start <= tensor.range.end);
            assert!(tensor.range.end <= file_bytes);
        }
        assert!(header.tensors.is_sorted_by_key(|tensor| tensor.range.start));
        let mut again: Vec<_> = header.tensors.iter().map(typed_range).collect();
        again.sort_by_key(|typed| (typed.range.start, typed.range.end));
        // Of those in one place, any may come first.
        assert_eq!(again.len(), typed.tensors.len());
        for (one, other) in again.iter().zip(&typed.tensors) {
            assert_eq!(one.range, other.range);
        }
    }
    let why_not = model::why_not(file).expect("the same");
    assert!(why_not.is_none() || format.is_none());
    let extents = extents::extents(file).expect("the same");
    let geometry = Geometry::new(4096, &extents).expect("extents tile the file");
    assert_eq!(geometry.original_bytes(), file.len() as u64);
    let matrices = extents::matrices(file).expect("the same");
    assert!(matrices.is_sorted_by(|one, next| one.range.end <= next.range.start));
}

fn typed_range(tensor: &Tensor) -> TypedRange {
    TypedRange::from(&FoundTensor {
        name: &tensor.name,
        dtype: &tensor.dtype,
        element: tensor.element,
        shape: &tensor.shape,
        range: tensor.range.clone(),
    })
}
