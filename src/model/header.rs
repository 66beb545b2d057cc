//! The door: what a file's header says, whatever its container.

use super::format::ModelFormat;
use super::read_at::ReadAt;
use super::tensor::{FoundTensor, Tensor, TypedRange};
use super::{gguf, safetensors};
use crate::error::{Error, Result};

/// What the header of a model says, and what was kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<T = Tensor> {
    /// The container.
    pub format: ModelFormat,
    /// Where it ends, and tensors may start.
    pub end: u64,
    /// Where the last tensor ends; behind the end of the file if that is not complete.
    pub data_end: u64,
    /// The tensors. All of them lie in the file, as far as it goes, and may overlap.
    pub tensors: Vec<T>,
}

/// The header of a file with all its tensors, sorted by place; `None` if the file is no model.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn read(file: &(impl ReadAt + ?Sized)) -> Result<Option<Header>> {
    let header = read_keeping(file, |found| Some(Tensor::from(found)))?;
    Ok(header.map(|mut header| {
        header.tensors.sort_by(|a, b| {
            (a.range.start, a.range.end, &a.name).cmp(&(b.range.start, b.range.end, &b.name))
        });
        header
    }))
}

/// The header of a file with the places and element types of its tensors, sorted by place. Names are not
/// kept, so that a header takes no more memory than it has bytes.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn read_typed(file: &(impl ReadAt + ?Sized)) -> Result<Option<Header<TypedRange>>> {
    let header = read_keeping(file, |found| Some(TypedRange::from(found)))?;
    Ok(header.map(|mut header| {
        header
            .tensors
            .sort_by_key(|typed| (typed.range.start, typed.range.end));
        header
    }))
}

/// The format of a file, its whole header looked at; `None` if it is no model.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn recognize(file: &(impl ReadAt + ?Sized)) -> Result<Option<ModelFormat>> {
    let header = read_keeping(file, |_| None::<()>)?;
    Ok(header.map(|header| header.format))
}

/// The header of a file with what `keep` makes of its tensors, in the order in which the header has them;
/// `None` if the file is no model. Reads from the start of the file on, and nothing twice.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn read_keeping<T>(
    file: &(impl ReadAt + ?Sized),
    keep: impl FnMut(&FoundTensor<'_>) -> Option<T>,
) -> Result<Option<Header<T>>> {
    match read_as_told(file, keep) {
        Err(Error::NotThisFormat(_)) => Ok(None),
        read => read,
    }
}

/// What keeps a file that starts as a model from being read as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// It may be sound: this version does not read its version or byte order.
    Unread(String),
    /// Its header is damaged, or not all there.
    Damaged(String),
}

impl WhyNot {
    /// In words.
    pub fn into_text(self) -> String {
        match self {
            Self::Unread(why) | Self::Damaged(why) => why,
        }
    }
}

/// Why a file is no model to this version, though it starts as one and as nothing else would.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn why_not(file: &(impl ReadAt + ?Sized)) -> Result<Option<WhyNot>> {
    let Some((ModelFormat::Gguf, first)) = start(file)? else {
        return Ok(None);
    };
    if let Err(Error::NotThisFormat(why)) = gguf::check_version(first) {
        return Ok(Some(WhyNot::Unread(why.to_string())));
    }
    match read_as_told(file, |_| None::<()>) {
        Err(Error::NotThisFormat(why)) => Ok(Some(WhyNot::Damaged(why.to_string()))),
        read => read.map(|_| None),
    }
}

/// The format that a file starts as, and its first bytes.
fn start(file: &(impl ReadAt + ?Sized)) -> Result<Option<(ModelFormat, [u8; 8])>> {
    let mut first = [0; 8];
    let file_bytes = file.file_bytes();
    if file_bytes < first.len() as u64 {
        return Ok(None);
    }
    file.read_at(&mut first, 0)?;
    Ok(ModelFormat::of_start(first, file_bytes).map(|format| (format, first)))
}

/// The header of a file, which must be one if the file starts so.
fn read_as_told<T>(
    file: &(impl ReadAt + ?Sized),
    mut keep: impl FnMut(&FoundTensor<'_>) -> Option<T>,
) -> Result<Option<Header<T>>> {
    let Some((format, first)) = start(file)? else {
        return Ok(None);
    };
    let mut tensors = Vec::new();
    let visit = &mut |found: &FoundTensor<'_>| tensors.extend(keep(found));
    let ends = match format {
        ModelFormat::Safetensors => safetensors::read(file, first, visit),
        ModelFormat::Gguf => gguf::read(file, first, visit),
    }?;
    Ok(Some(Header {
        format,
        end: ends.header,
        data_end: ends.data,
        tensors,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::bounds::{MAX_DIMENSIONS, MAX_DTYPE_BYTES, MAX_NAME_BYTES};
    use super::super::read_at::tests::Made;
    use super::*;
    use crate::format::ElementType;
    use proptest::prelude::*;

    /// A file with this header and so many bytes of tensors.
    fn safetensors_file(json: &str, data_bytes: usize) -> Vec<u8> {
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend(json.as_bytes());
        file.resize(file.len() + data_bytes, 7);
        file
    }

    const JSON: &str = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
        "a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]},
        "scalar":{"dtype":"I64","shape":[],"data_offsets":[16,24],"more":[1,{"x":null}]}}"#;

    #[test]
    fn tensors_come_sorted_by_place_with_absolute_ranges() {
        let file = safetensors_file(JSON, 24);
        let header = read(&file[..]).unwrap().unwrap();
        let end = 8 + JSON.len() as u64;
        assert_eq!((header.format, header.end), (ModelFormat::Safetensors, end));
        let names: Vec<_> = header.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "scalar"]);
        assert_eq!(header.tensors[1].range, end + 4..end + 16);
        assert_eq!(header.tensors[1].shape, [2, 3]);
        assert_eq!(header.tensors[0].dtype, "F4");
        assert_eq!(header.tensors[0].element, ElementType::Bytes);
        let typed = read_typed(&file[..]).unwrap().unwrap().tensors;
        let of_tensors = header.tensors.iter().map(|tensor| TypedRange {
            range: tensor.range.clone(),
            element: tensor.element,
            columns: tensor
                .shape
                .last()
                .copied()
                .filter(|_| tensor.shape.len() > 1),
        });
        assert_eq!(typed, of_tensors.collect::<Vec<_>>());
        assert_eq!(typed[1].columns, Some(3));
    }

    #[test]
    fn who_keeps_some_tensors_gets_those_in_the_order_of_the_header() {
        let file = safetensors_file(JSON, 24);
        let header = read_keeping(&file[..], |found| {
            (found.element != ElementType::Bytes).then(|| found.name.to_owned())
        });
        assert_eq!(header.unwrap().unwrap().tensors, ["b", "scalar"]);
        let format = recognize(&file[..]).unwrap();
        assert_eq!(format, Some(ModelFormat::Safetensors));
    }

    #[test]
    fn what_is_no_header_is_no_model() {
        let long_name = format!(
            r#"{{"{}":{{"dtype":"U8","shape":[],"data_offsets":[0,1]}}}}"#,
            "n".repeat(MAX_NAME_BYTES + 1)
        );
        let long_dtype = format!(
            r#"{{"a":{{"dtype":"{}","shape":[],"data_offsets":[0,1]}}}}"#,
            "D".repeat(MAX_DTYPE_BYTES + 1)
        );
        let shape = vec!["1"; MAX_DIMENSIONS + 1].join(",");
        let long_shape =
            format!(r#"{{"a":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,1]}}}}"#);
        let deep = "[".repeat(100_000);
        for json in [
            "[]",
            "{",
            "{} x",
            r#"{"a":{"dtype":"F32","shape":[1]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
            r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551615,18446744073709551615]}}"#,
            "{\"\u{0}\":1}",
            &long_name,
            &long_dtype,
            &long_shape,
            &deep,
        ] {
            let file = safetensors_file(json, 200);
            assert_eq!(read(&file[..]).unwrap(), None, "{json:.100}");
            assert_eq!(read_typed(&file[..]).unwrap(), None, "{json:.100}");
        }
        assert!(
            read(&safetensors_file(&long_shape.replacen("1,", "", 1), 200)[..])
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn of_a_file_that_ends_too_early_the_tensors_are_what_is_there() {
        let whole = safetensors_file(JSON, 24);
        let end = whole.len() - 24;
        for missing in 0..=24 {
            let file = &whole[..whole.len() - missing];
            let header = read(file).unwrap().unwrap();
            assert_eq!(header.data_end, whole.len() as u64);
            let there = |end: usize| end.min(file.len()) as u64;
            let ranges: Vec<_> = header.tensors.iter().map(|t| t.range.clone()).collect();
            let expected = [(0, 4), (4, 16), (16, 24)].map(|(a, b)| there(end + a)..there(end + b));
            for range in expected {
                assert!(ranges.contains(&range), "{missing}: {range:?}");
            }
        }
    }

    #[test]
    fn a_header_that_ends_anywhere_is_no_model() {
        let file = safetensors_file(JSON, 24);
        for len in 0..file.len() - 24 {
            assert_eq!(read(&file[..len]).unwrap(), None, "{len}");
        }
        // The same, where the length says that the header ends there.
        for len in 0..JSON.len() {
            let file = safetensors_file(&JSON[..len], 1000);
            assert_eq!(read(&file[..]).unwrap(), None, "{len}");
        }
    }

    #[test]
    fn a_header_is_read_once_and_nothing_behind_it() {
        let file = Made::new(safetensors_file(JSON, 10_000_000));
        let header = read(&file).unwrap().unwrap();
        assert_eq!(file.furthest.get(), header.end);
        assert!(file.reads.get() < 5);
    }

    #[test]
    fn an_error_of_the_file_is_that_error_and_not_another_format() {
        let whole = safetensors_file(JSON, 24);
        for fails_from in 0..whole.len() as u64 - 24 {
            let file = Made {
                fails_from,
                ..Made::new(whole.clone())
            };
            let error = read(&file).unwrap_err();
            assert_eq!(error.to_string(), Error::corrupt("made up").to_string());
        }
    }

    #[test]
    fn a_header_longer_than_any_is_not_read() {
        for len in [100_000_001, 1 << 40, u64::MAX - 8, u64::MAX] {
            let file = Made {
                file_bytes: u64::MAX,
                ..Made::new(u64::to_le_bytes(len).to_vec())
            };
            assert_eq!(read(&file).unwrap(), None);
            assert_eq!(file.furthest.get(), 8);
        }
    }

    proptest! {
        #[test]
        fn tensors_that_were_written_are_read(
            tensors in prop::collection::vec(
                ("[a-z.0-9\"\\\\\u{e9}]{0,20}", prop::sample::select(vec!["BF16", "F32", "I4"]),
                 prop::collection::vec(0u64..100, 0..4), 0u64..500, 0u64..500), 0..20),
        ) {
            let mut entries: Vec<_> = tensors.iter().map(|(name, dtype, shape, start, len)| {
                let offsets = [*start, start + len];
                let info = serde_json::json!({
                    "dtype": dtype, "shape": shape, "data_offsets": offsets });
                format!("{}:{info}", serde_json::json!(name))
            }).collect();
            entries.insert(0, r#""__metadata__":{"a":"b"}"#.into());
            let file = safetensors_file(&format!("{{{}}}", entries.join(",")), 1000);
            let kept = read_keeping(&file[..], |found| Some(Tensor::from(found))).unwrap().unwrap();
            prop_assert_eq!(kept.tensors.len(), tensors.len());
            for (found, (name, dtype, shape, start, len)) in kept.tensors.iter().zip(&tensors) {
                prop_assert_eq!(&found.name, name);
                prop_assert_eq!(&found.dtype, dtype);
                prop_assert_eq!(&found.shape, shape);
                prop_assert_eq!(&found.range, &(kept.end + start..kept.end + start + len));
            }
        }

        #[test]
        fn whatever_a_header_holds_its_tensors_lie_in_the_file(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            behind in 0usize..100,
        ) {
            let mut file = safetensors_file(JSON, behind);
            for (at, byte) in edits {
                let at = at.index(file.len());
                file[at] = byte;
            }
            let whole = read(&file[..]).unwrap();
            let typed = read_typed(&file[..]).unwrap();
            prop_assert_eq!(whole.is_some(), typed.is_some());
            if let Some(header) = whole {
                prop_assert!(header.end <= file.len() as u64);
                prop_assert!(header.tensors.is_sorted_by_key(|tensor| tensor.range.start));
                for tensor in &header.tensors {
                    prop_assert!(header.end <= tensor.range.start);
                    prop_assert!(tensor.range.start <= tensor.range.end);
                    prop_assert!(tensor.range.end <= file.len() as u64);
                }
            }
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes[..]).unwrap();
        }
    }
}
