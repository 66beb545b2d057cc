//! All layouts of records.

use super::columns::{Iq1M, Iq1S, Iq2S, Iq3S, Iq3Xxs, Mxfp4, Q4_0, Q4_1, Q8_0, Q8_1, Tq1_0, Tq2_0};
use super::layout::{Grouping, Record, Stream};
use super::packed::{Iq2Xs, Iq2Xxs, Iq4Xs, Q2K, Q3K, Q4K, Q5_0, Q5_1, Q5K, Q6K};

macro_rules! layouts {
    ($($name:ident),+) => {
        /// The layout of a record.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names that llama.cpp has for them")]
        pub enum RecordLayout {
            $($name),+
        }

        impl RecordLayout {
            /// Every layout.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Bytes of a record.
            pub const fn bytes(self) -> usize {
                match self {
                    $(Self::$name => <$name as Record>::BYTES),+
                }
            }

            /// The streams of its fields.
            pub const fn streams(self) -> &'static [Stream] {
                match self {
                    $(Self::$name => <$name as Record>::STREAMS),+
                }
            }

            /// The groups of its levels.
            pub(super) const fn grouping(self) -> Option<Grouping> {
                match self {
                    $(Self::$name => <$name as Record>::GROUPING),+
                }
            }

            /// Takes records apart: a plane for each stream, what was in them replaced. Bytes behind the last whole
            /// record are left out.
            pub fn take(self, records: &[u8], planes: &mut Vec<Vec<u8>>) {
                match self {
                    $(Self::$name => take::<$name>(records, planes)),+
                }
            }

            /// Puts as many records together as there is room for. Each plane has the bytes of all of them.
            pub fn put(self, planes: &[&[u8]], records: &mut [u8]) {
                match self {
                    $(Self::$name => put::<$name>(planes, records)),+
                }
            }
        }
    };
}

layouts!(
    Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q2K, Q3K, Q4K, Q5K, Q6K, Iq2Xxs, Iq2Xs, Iq3Xxs, Iq1S, Iq3S,
    Iq2S, Iq4Xs, Iq1M, Tq1_0, Tq2_0, Mxfp4
);

fn take<R: Record>(records: &[u8], planes: &mut Vec<Vec<u8>>) {
    let count = records.len() / R::BYTES;
    planes.resize_with(R::STREAMS.len(), Vec::new);
    for (plane, stream) in planes.iter_mut().zip(R::STREAMS) {
        plane.clear();
        plane.resize(count * stream.bytes(), 0);
    }
    for (i, record) in records.chunks_exact(R::BYTES).enumerate() {
        R::take(record, i, planes);
    }
}

fn put<R: Record>(planes: &[&[u8]], records: &mut [u8]) {
    for (i, record) in records.chunks_exact_mut(R::BYTES).enumerate() {
        R::put(planes, i, record);
    }
}
