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
        Some(match number {
            0 => Self::numbers(E::F32),
            1 => Self::numbers(E::F16),
            2 => Self::blocks("Q4_0", 32, 18),
            3 => Self::blocks("Q4_1", 32, 20),
            6 => Self::blocks("Q5_0", 32, 22),
            7 => Self::blocks("Q5_1", 32, 24),
            8 => Self::blocks("Q8_0", 32, 34),
            // 36 bytes as in C; gguf-py has 40, and no file has any.
            9 => Self::blocks("Q8_1", 32, 36),
            10 => Self::blocks("Q2_K", 256, 84),
            11 => Self::blocks("Q3_K", 256, 110),
            12 => Self::blocks("Q4_K", 256, 144),
            13 => Self::blocks("Q5_K", 256, 176),
            14 => Self::blocks("Q6_K", 256, 210),
            15 => Self::blocks("Q8_K", 256, 292),
            16 => Self::blocks("IQ2_XXS", 256, 66),
            17 => Self::blocks("IQ2_XS", 256, 74),
            18 => Self::blocks("IQ3_XXS", 256, 98),
            19 => Self::blocks("IQ1_S", 256, 50),
            20 => Self::blocks("IQ4_NL", 32, 18),
            21 => Self::blocks("IQ3_S", 256, 110),
            22 => Self::blocks("IQ2_S", 256, 82),
            23 => Self::blocks("IQ4_XS", 256, 136),
            24 => Self::numbers(E::I8),
            25 => Self::numbers(E::I16),
            26 => Self::numbers(E::I32),
            27 => Self::numbers(E::I64),
            28 => Self::numbers(E::F64),
            29 => Self::blocks("IQ1_M", 256, 56),
            30 => Self::numbers(E::Bf16),
            34 => Self::blocks("TQ1_0", 256, 54),
            35 => Self::blocks("TQ2_0", 256, 66),
            39 => Self::blocks("MXFP4", 32, 17),
            40 => Self::blocks("NVFP4", 64, 36),
            41 => Self::blocks("Q1_0", 128, 18),
            42 => Self::blocks("Q2_0", 64, 18),
            _ => return None,
        })
    }

    /// A type of single numbers.
    const fn numbers(element: ElementType) -> Self {
        Self {
            name: element.name(),
            block_elements: 1,
            block_bytes: element.bytes() as u64,
            element,
        }
    }

    /// A type of groups of quantized weights, which are bytes to the codecs.
    const fn blocks(name: &'static str, block_elements: u64, block_bytes: u64) -> Self {
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
        }
        let known = (0..1000).filter_map(GgmlType::of);
        assert_eq!(known.count(), SIZES.len());
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
