//! The types of ggml, llama.cpp's library of tensors: how many elements a block has, and how many bytes.
//!
//! By `ggml_type` in its `ggml.h` and the structs of `ggml-common.h`. Numbers that it has taken back
//! (4, 5, 31 to 33, 36 to 38) are unknown here as well.

use crate::format::ElementType;

/// What is known of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GgmlType {
    pub name: &'static str,
    /// Elements of a block; rows are whole numbers of blocks.
    pub block_elements: u64,
    pub block_bytes: u64,
    /// What its bytes are to the codecs.
    pub element: ElementType,
}

impl GgmlType {
    /// The type of a number; `None` for one that is not known.
    pub(super) fn of(number: u32) -> Option<Self> {
        use ElementType as E;
        let (element, block_elements) = match number {
            0 => (E::F32, 1),
            1 => (E::F16, 1),
            2 => (E::Q4_0, 32),
            3 => (E::Q4_1, 32),
            6 => (E::Q5_0, 32),
            7 => (E::Q5_1, 32),
            8 => (E::Q8_0, 32),
            // 36 bytes as in C; gguf-py has 40, and no file has any.
            9 => (E::Q8_1, 32),
            10 => (E::Q2K, 256),
            11 => (E::Q3K, 256),
            12 => (E::Q4K, 256),
            13 => (E::Q5K, 256),
            14 => (E::Q6K, 256),
            15 => return Some(Self::of_bytes("Q8_K", 256, 292)),
            16 => (E::Iq2Xxs, 256),
            17 => (E::Iq2Xs, 256),
            18 => (E::Iq3Xxs, 256),
            19 => (E::Iq1S, 256),
            20 => (E::Iq4Nl, 32),
            21 => (E::Iq3S, 256),
            22 => (E::Iq2S, 256),
            23 => (E::Iq4Xs, 256),
            24 => (E::I8, 1),
            25 => (E::I16, 1),
            26 => (E::I32, 1),
            27 => (E::I64, 1),
            28 => (E::F64, 1),
            29 => (E::Iq1M, 256),
            30 => (E::Bf16, 1),
            34 => (E::Tq1_0, 256),
            35 => (E::Tq2_0, 256),
            39 => (E::Mxfp4, 32),
            40 => return Some(Self::of_bytes("NVFP4", 64, 36)),
            41 => return Some(Self::of_bytes("Q1_0", 128, 18)),
            42 => return Some(Self::of_bytes("Q2_0", 64, 18)),
            _ => return None,
        };
        Some(Self {
            name: element.name(),
            block_elements,
            block_bytes: element.bytes().into(),
            element,
        })
    }

    /// A type whose blocks no codec knows.
    const fn of_bytes(name: &'static str, block_elements: u64, block_bytes: u64) -> Self {
        Self {
            name,
            block_elements,
            block_bytes,
            element: ElementType::Bytes,
        }
    }

    /// Bytes of a tensor; `None` if a row ends within a block, or if they are too many to count.
    pub(super) fn tensor_bytes(&self, shape: &[u64]) -> Option<u64> {
        let (&columns, rows) = shape.split_last().unwrap_or((&1, &[]));
        columns
            .is_multiple_of(self.block_elements)
            .then(|| (columns / self.block_elements).checked_mul(self.block_bytes))
            .flatten()
            .and_then(|row_bytes| rows.iter().copied().try_fold(row_bytes, u64::checked_mul))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `GGML_QUANT_SIZES` of gguf-py, but for what it has wrong.
    const SIZES: [(u32, &str, u64, u64); 35] = [
        (0, "F32", 1, 4),
        (1, "F16", 1, 2),
        (2, "Q4_0", 32, 18),
        (3, "Q4_1", 32, 20),
        (6, "Q5_0", 32, 22),
        (7, "Q5_1", 32, 24),
        (8, "Q8_0", 32, 34),
        (9, "Q8_1", 32, 36),
        (10, "Q2_K", 256, 84),
        (11, "Q3_K", 256, 110),
        (12, "Q4_K", 256, 144),
        (13, "Q5_K", 256, 176),
        (14, "Q6_K", 256, 210),
        (15, "Q8_K", 256, 292),
        (16, "IQ2_XXS", 256, 66),
        (17, "IQ2_XS", 256, 74),
        (18, "IQ3_XXS", 256, 98),
        (19, "IQ1_S", 256, 50),
        (20, "IQ4_NL", 32, 18),
        (21, "IQ3_S", 256, 110),
        (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136),
        (24, "I8", 1, 1),
        (25, "I16", 1, 2),
        (26, "I32", 1, 4),
        (27, "I64", 1, 8),
        (28, "F64", 1, 8),
        (29, "IQ1_M", 256, 56),
        (30, "BF16", 1, 2),
        (34, "TQ1_0", 256, 54),
        (35, "TQ2_0", 256, 66),
        (39, "MXFP4", 32, 17),
        (40, "NVFP4", 64, 36),
        (41, "Q1_0", 128, 18),
        (42, "Q2_0", 64, 18),
    ];

    #[test]
    fn types_have_the_sizes_that_llama_cpp_gives_them() {
        for (number, name, elements, bytes) in SIZES {
            let known = GgmlType::of(number).unwrap();
            assert_eq!(
                (known.name, known.block_elements, known.block_bytes),
                (name, elements, bytes)
            );
            if known.element.is_record() {
                assert_eq!(u32::from(known.element.code()), 64 + number);
            }
            if let Some(record) = known.element.record() {
                assert_eq!(record.weights() as u64, elements);
            }
        }
        let known = (0..1000).filter_map(GgmlType::of);
        assert_eq!(known.clone().count(), SIZES.len());
        for &element in ElementType::ALL.iter().filter(|e| e.is_record()) {
            assert!(known.clone().any(|known| known.element == element));
        }
        assert_eq!(GgmlType::of(u32::MAX), None);
    }

    #[test]
    fn bytes_of_a_tensor_are_those_of_its_blocks() {
        let bytes = |number, shape: &[u64]| GgmlType::of(number).unwrap().tensor_bytes(shape);
        assert_eq!(bytes(0, &[]), Some(4));
        assert_eq!(bytes(0, &[3, 5]), Some(60));
        assert_eq!(bytes(12, &[2, 512]), Some(4 * 144));
        assert_eq!(bytes(12, &[0, 512]), Some(0));
        assert_eq!(bytes(12, &[2, 0]), Some(0));
        // Rows that end within a block, also where all rows together do not.
        assert_eq!(bytes(12, &[]), None);
        assert_eq!(bytes(12, &[512, 2]), None);
        assert_eq!(bytes(2, &[2, 48]), None);
        for shape in [&[1 << 62][..], &[1 << 32, 1 << 32], &[u64::MAX, 8, 8]] {
            assert_eq!(bytes(0, shape), None);
            assert_eq!(bytes(24, &[shape, &[256]].concat()), None);
        }
    }
}
