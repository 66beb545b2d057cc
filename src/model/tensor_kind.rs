//! Kinds of tensors, told by what models call them.

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// Of attention.
    Attention,
    /// Of feed-forward layers.
    Mlp,
    /// Embeddings.
    Embedding,
    /// Weights of normalizations.
    Norm,
    /// Output heads.
    Head,
    /// All else, or unknown.
    Other,
}

/// Parts of names, the first that is found counts: `attn_norm` is a norm, `embeddings.LayerNorm` as well, and
/// `attention.output.dense` no MLP.
const PARTS: [(TensorKind, &[&str]); 5] = [
    (TensorKind::Norm, &["norm", "ln_", ".ln", "layernorm"]),
    (TensorKind::Embedding, &["embed", "embd", "wte", "wpe"]),
    (
        TensorKind::Head,
        &["lm_head", "classifier", "score.", "cls."],
    ),
    (
        TensorKind::Attention,
        &[
            "attn",
            "attention",
            "q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            "qkv",
            "query",
        ],
    ),
    (
        TensorKind::Mlp,
        &[
            "mlp",
            "ffn",
            "feed_forward",
            "intermediate",
            "output.dense",
            "expert",
            "gate_proj",
            "up_proj",
            "down_proj",
            ".fc",
            ".w1.",
            ".w2.",
            ".w3.",
        ],
    ),
];
/// Whole names of heads.
const HEADS: [&str; 2] = ["output.weight", "head.weight"];

impl TensorKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Attention,
        Self::Mlp,
        Self::Embedding,
        Self::Norm,
        Self::Head,
        Self::Other,
    ];

    /// Of the tensor of a name.
    pub fn of(name: &str) -> Self {
        let name = name.to_lowercase();
        if HEADS.contains(&name.as_str()) {
            return Self::Head;
        }
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        let found = PARTS.iter().find(|(_, parts)| has(parts));
        found.map_or(Self::Other, |(kind, _)| *kind)
    }

    /// The name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Mlp => "MLP",
            Self::Embedding => "embedding",
            Self::Norm => "norm",
            Self::Head => "head",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_models_tell_the_kind() {
        for (name, kind) in [
            (
                "model.layers.0.self_attn.q_proj.weight",
                TensorKind::Attention,
            ),
            (
                "encoder.layer.3.attention.output.dense.weight",
                TensorKind::Attention,
            ),
            ("blk.1.attn_q.weight", TensorKind::Attention),
            ("h.0.attn.c_attn.weight", TensorKind::Attention),
            ("model.layers.0.mlp.down_proj.weight", TensorKind::Mlp),
            ("encoder.layer.3.output.dense.weight", TensorKind::Mlp),
            ("blk.1.ffn_up.weight", TensorKind::Mlp),
            ("model.embed_tokens.weight", TensorKind::Embedding),
            ("token_embd.weight", TensorKind::Embedding),
            ("embeddings.LayerNorm.weight", TensorKind::Norm),
            ("blk.1.attn_norm.weight", TensorKind::Norm),
            ("h.0.ln_1.weight", TensorKind::Norm),
            ("lm_head.weight", TensorKind::Head),
            ("output.weight", TensorKind::Head),
            ("pooler.dense.weight", TensorKind::Other),
        ] {
            assert_eq!(TensorKind::of(name), kind, "{name}");
        }
    }
}
