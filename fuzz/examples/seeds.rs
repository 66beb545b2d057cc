//! Writes inputs to start from: sound planes, blocks and archives, as the targets read them.
//!
//! `cargo run --no-default-features --example seeds -- DIRECTORY` makes a directory for each target.

use std::fs;
use std::path::Path;

use weightfs::block::{BlockEncoder, Kin};
use weightfs::codec::scaled::Segment;
use weightfs::codec::{Content, Encoder, Hints, Level, Method, PlaneShape};
use weightfs::format::{BlockHeader, CodecId, ElementType};
use weightfs::grid::{Bound, PartsOf, ScaleFit, Treatment};
use weightfs_fuzz::gguf::{GgufWriter, every_value, u32_value};
use weightfs_fuzz::{
    ARCHIVES, AS_IT_IS, Input, LEVEL_MODEL, LEVELS, LevelGroups, MODELS, base_of, block_input,
    family_input, moved, plane_input, weights,
};

/// Elements of the planes and blocks.
const COUNTS: [u16; 3] = [40, 300, 1500];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let to = std::env::args_os().nth(1).ok_or("no directory named")?;
    let to = Path::new(&to);
    let (levels, spread) = levels()?;
    write(&to.join("plane"), &[planes()?, spread].concat())?;
    write(&to.join("block"), &[blocks()?, levels].concat())?;
    write(&to.join("families"), &families()?)?;
    write(&to.join("lossy"), &lossy())?;
    let archives = ARCHIVES.iter().filter(|archive| archive.len() < 1 << 16);
    let as_they_are = archives.map(|archive| [&[AS_IT_IS][..], archive].concat());
    let edited = (1..=255u8).map(|how| vec![how]);
    write(
        &to.join("archive"),
        &as_they_are.chain(edited).collect::<Vec<_>>(),
    )?;
    write(&to.join("round_trip"), &round_trips())?;
    write(&to.join("header"), &headers())?;
    Ok(())
}

fn write(to: &Path, inputs: &[Vec<u8>]) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for (number, input) in inputs.iter().enumerate() {
        fs::write(to.join(format!("seed-{number:03}")), input)?;
    }
    println!("{}: {} inputs", to.display(), inputs.len());
    Ok(())
}

fn planes() -> weightfs::Result<Vec<Vec<u8>>> {
    use ElementType::{Bf16, F8E4M3, F16, U8, U16};
    let mut inputs = Vec::new();
    for (element, model) in [(U8, 0), (U16, 0), (F8E4M3, 0), (Bf16, 1), (F16, 2)] {
        let shared = usize::checked_sub(model, 1).map(|model| &MODELS[model]);
        for kind in [0, 2, 4, 5, 6, 0x52, 0xA0] {
            for (count, level) in COUNTS.iter().flat_map(|&count| LEVELS.map(|l| (count, l))) {
                let bytes = weights(element, count.into(), 130, kind, 7);
                let width = element.bytes() * 8;
                let shape = PlaneShape {
                    width,
                    count: count.into(),
                };
                let top = element
                    .exponent_bits()
                    .map(|exponent_bits| Content::FloatTop { exponent_bits });
                for content in [top.unwrap_or(Content::Any), Content::Mantissa] {
                    let segments = shared
                        .map(|shared| shared.segments(&mut Input::new(&[0, 2, 1]), count.into()));
                    let mut encoder = Encoder::new(
                        Method::Weights,
                        level,
                        shared.map(|shared| shared.model.clone()),
                    )?;
                    let mut coded = Vec::new();
                    let codec = encoder.encode(
                        &bytes,
                        shape,
                        content,
                        Hints {
                            segments: &segments.unwrap_or_default(),
                            ..Hints::default()
                        },
                        &mut coded,
                    )?;
                    let [model, ..] = model.to_le_bytes();
                    inputs.push(plane_input(codec, width, count, model, [0, 0], &coded));
                }
            }
        }
    }
    for how in [3, 0x43, 0x84] {
        for (fields, count) in [(31, 31 * 600), (16, 16 * 1100)] {
            let groups = LevelGroups::new(fields, how, count).expect("not without fields");
            let plane = groups.levels(7);
            let shape = PlaneShape { width: 8, count };
            let hints = Hints {
                groups: Some(groups.groups()),
                ..Hints::default()
            };
            let mut coded = Vec::new();
            let codec = Encoder::new(Method::Weights, Level::Max, None)?.encode(
                &plane,
                shape,
                Content::Levels,
                hints,
                &mut coded,
            )?;
            let count = u16::try_from(count).expect("few fields");
            inputs.push(plane_input(codec, 8, count, 0, [fields, how], &coded));
        }
    }
    for (width, hint) in [(8, 0), (8, 1), (16, 0), (16, 1), (32, 0)] {
        for (count, level) in COUNTS.iter().flat_map(|&count| LEVELS.map(|l| (count, l))) {
            let (base, form) = base_of(width, count.into(), hint).expect("there are such numbers");
            let plane = moved(&base, form.bytes.into(), 0x32);
            let mut coded = Vec::new();
            let codec = Encoder::new(Method::Weights, level, None)?
                .encode_beside(&plane, &base, form, &mut coded);
            inputs
                .extend(codec.map(|codec| plane_input(codec, width, count, 0, [hint, 0], &coded)));
        }
    }
    inputs.sort();
    inputs.dedup();
    Ok(inputs)
}

/// Blocks beside a base, and decisions for others.
fn families() -> weightfs::Result<Seeds> {
    use ElementType::{Bf16, Bytes, F8E4M3, F16, F32, I8};
    let mut inputs = Vec::new();
    for element in [Bf16, F16, F32, F8E4M3, I8, Bytes] {
        for (count, level) in [40, 300, 900]
            .iter()
            .flat_map(|&count| LEVELS.map(|l| (count, l)))
        {
            for how in [0, 0x12, 0x35] {
                let base = weights(element, count, 130, 0, 7);
                let own = match how {
                    0 => base.clone(),
                    how => moved(&base, element.bytes().into(), how),
                };
                let kin = Kin {
                    base: 1,
                    offset: 64,
                    is_rounded: false,
                    bytes: &base,
                };
                let mut stored = Vec::new();
                BlockEncoder::new(level)?.encode_beside(&own, element, &[], &kin, &mut stored)?;
                let len = u16::try_from(own.len()).expect("few elements");
                inputs.push(family_input(len, &base, &stored));
            }
        }
    }
    inputs.sort();
    inputs.dedup();
    // Decisions: how, level, element, kind, columns, length, seed, a tail, how far.
    for element in 0..u8::try_from(ElementType::ALL.len()).expect("few types") {
        for how in [4, 6] {
            inputs.push(vec![how, 2, element, 0, 98, 3, 0, 4, 1, 2, 3, 4, 0, 0x21]);
        }
    }
    inputs.extend((0..4).map(|number| vec![1, number % 2, 5, 1, 2, 3, 4, 5, number]));
    Ok(inputs)
}

fn blocks() -> weightfs::Result<Vec<Vec<u8>>> {
    let mut inputs = Vec::new();
    for &element in ElementType::ALL {
        for (count, level) in COUNTS.iter().flat_map(|&count| LEVELS.map(|l| (count, l))) {
            for kind in [0, 2, 4] {
                let bytes = weights(element, count.into(), 130, kind, 7);
                let mut stored = Vec::new();
                BlockEncoder::new(level)?.encode(&bytes, element, &[], &mut stored)?;
                inputs.extend(
                    u16::try_from(bytes.len())
                        .ok()
                        .map(|len| block_input(len, 0, &stored)),
                );
            }
        }
    }
    inputs.sort();
    inputs.dedup();
    Ok(inputs)
}

/// Inputs of a target.
type Seeds = Vec<Vec<u8>>;

/// Blocks of levels on every grid, and those of their planes that are coded by a shape.
fn levels() -> weightfs::Result<(Seeds, Seeds)> {
    use ElementType::{Bf16, F16, F32, F64};
    // The number of the profiles with a shape.
    let number = u8::try_from(MODELS.len() + 1).expect("few models");
    let bounded = |bound| Treatment::Bounded {
        bound,
        typical: 0.02,
    };
    let groups = |most, group| Treatment::Groups {
        most,
        group,
        fit: ScaleFit::Max,
    };
    let columns = LEVEL_MODEL.columns[0];
    let (mut blocks, mut planes) = (Vec::new(), Vec::new());
    for treatment in [
        bounded(Bound::Absolute(0.002)),
        bounded(Bound::Absolute(1e-5)),
        bounded(Bound::Absolute(1e-9)),
        bounded(Bound::Row(0.02)),
        bounded(Bound::Pointwise(0.03)),
        bounded(Bound::Pointwise(0.0003)),
        groups(127, 64),
        groups(7, 128),
    ] {
        for element in [Bf16, F16, F32, F64] {
            for (count, kind) in [(300, 0x60), (1500, 0xA0), (6000, 0x20)] {
                let bytes = weights(element, count, columns as usize, kind, 3);
                let Ok(len) = u16::try_from(bytes.len()) else {
                    continue;
                };
                let parts = PartsOf {
                    bytes: &bytes,
                    before: 0,
                    row: columns,
                    first_column: 0,
                };
                let segment = Segment {
                    profile: Some(0),
                    columns,
                    first_column: 0,
                    elements: u32::try_from(count).expect("few elements"),
                };
                let mut stored = Vec::new();
                let model = Some(LEVEL_MODEL.model.clone());
                BlockEncoder::with_model(Level::Default, model)?.encode_treated(
                    element,
                    &treatment,
                    parts,
                    count,
                    &[segment],
                    &mut stored,
                )?;
                let header = BlockHeader::parse(&stored, bytes.len())?;
                for (plane, range) in header.stored_planes() {
                    if plane.codec == CodecId::Spread {
                        let count = u16::try_from(count).expect("few elements");
                        let coded = &stored[range];
                        planes.push(plane_input(
                            plane.codec,
                            plane.width,
                            count,
                            number,
                            [0, 0],
                            coded,
                        ));
                    }
                }
                blocks.push(block_input(len, number, &stored));
            }
        }
    }
    assert!(!planes.is_empty(), "a shape is made use of");
    Ok((blocks, planes))
}

/// Decisions: element, bound, what numbers are like, kind of bound.
fn lossy() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for element in 0..4 {
        for kind in 0..5 {
            for bound in [0x50, 0xA8, 0xC0] {
                for kind_of_weights in [0x20, 0x60, 0x85] {
                    inputs.push(vec![
                        element,
                        7,
                        bound,
                        14,
                        kind,
                        1,
                        0,
                        1,
                        0,
                        kind_of_weights,
                        0x30,
                        9,
                        1,
                        2,
                        3,
                        4,
                        2,
                        9,
                        0,
                        30,
                        1,
                        3,
                        8,
                        8,
                        9,
                    ]);
                }
            }
        }
    }
    inputs
}

/// Decisions: how, level, element, kind, columns, length.
fn round_trips() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for element in 0..u8::try_from(ElementType::ALL.len()).expect("few types") {
        for level in 0..3 {
            for how in [0, 2] {
                inputs.push(vec![how, level, element, 0, 100, 3, 0, 16, 1, 2, 3, 4, 0]);
            }
            inputs.push([&[13, level, element, 7][..], &[0x3C, 0x80, 0x3D].repeat(40)].concat());
        }
    }
    inputs
}

/// Files of every container, one with an entry of every kind.
fn headers() -> Vec<Vec<u8>> {
    let json = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
        "a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]},
        "scalar":{"dtype":"I64","shape":[],"data_offsets":[16,24],"more":[1,{"x":null}]}}"#;
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json.as_bytes());
    file.extend([0; 24]);
    let mut as_they_are = vec![file];
    for value in every_value() {
        let mut gguf = GgufWriter::new();
        gguf.entry("key", value);
        gguf.entry("general.alignment", u32_value(64));
        gguf.alignment = 64;
        gguf.tensor("w", 12, &[1, 256], &[1; 144]);
        gguf.tensor("norm", 0, &[4], &[2; 16]);
        gguf.tensor("of the future", 99, &[4], &[3; 16]);
        let (header, data) = gguf.finish();
        as_they_are.push([header, data].concat());
    }
    let as_they_are = as_they_are
        .into_iter()
        .map(|file| [vec![AS_IT_IS], file].concat());
    let made_up = (1..=32u8).map(|number| vec![number % 2 + 1, number, 3, 1, 40, 2, 9]);
    as_they_are.chain(made_up).collect()
}
