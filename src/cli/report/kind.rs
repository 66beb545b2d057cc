//! Kinds of tensors, told by what models call them.

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    Attention,
    Mlp,
    Embedding,
    Norm,
    Head,
    Other,
}

/// Parts of names, the first that is found counts: `attn_norm` is a norm, `embeddings.LayerNorm` as well, and
/// `attention.output.dense` no MLP.
const PARTS: [(Kind, &[&str]); 5] = [
    (Kind::Norm, &["norm", "ln_", ".ln", "layernorm"]),
    (Kind::Embedding, &["embed", "embd", "wte", "wpe"]),
    (Kind::Head, &["lm_head", "classifier", "score.", "cls."]),
    (
        Kind::Attention,
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
        Kind::Mlp,
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

impl Kind {
    pub(in crate::cli) const ALL: [Self; 6] = [
        Self::Attention,
        Self::Mlp,
        Self::Embedding,
        Self::Norm,
        Self::Head,
        Self::Other,
    ];

    /// Of the tensor of a name.
    pub(in crate::cli) fn of(name: &str) -> Self {
        let name = name.to_lowercase();
        if HEADS.contains(&name.as_str()) {
            return Self::Head;
        }
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        let found = PARTS.iter().find(|(_, parts)| has(parts));
        found.map_or(Self::Other, |(kind, _)| *kind)
    }

    pub(in crate::cli) const fn name(self) -> &'static str {
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
            ("model.layers.0.self_attn.q_proj.weight", Kind::Attention),
            (
                "encoder.layer.3.attention.output.dense.weight",
                Kind::Attention,
            ),
            ("blk.1.attn_q.weight", Kind::Attention),
            ("h.0.attn.c_attn.weight", Kind::Attention),
            ("model.layers.0.mlp.down_proj.weight", Kind::Mlp),
            ("encoder.layer.3.output.dense.weight", Kind::Mlp),
            ("blk.1.ffn_up.weight", Kind::Mlp),
            ("model.embed_tokens.weight", Kind::Embedding),
            ("token_embd.weight", Kind::Embedding),
            ("embeddings.LayerNorm.weight", Kind::Norm),
            ("blk.1.attn_norm.weight", Kind::Norm),
            ("h.0.ln_1.weight", Kind::Norm),
            ("lm_head.weight", Kind::Head),
            ("output.weight", Kind::Head),
            ("pooler.dense.weight", Kind::Other),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }
}
