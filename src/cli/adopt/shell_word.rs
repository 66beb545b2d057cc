//! A word of a command that a person is told, as a shell reads it.

/// In quotes, if it has characters that shells take for something else.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:=@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_for_something_else_is_quoted() {
        for (word, expected) in [
            ("/srv/models-1.0", "/srv/models-1.0"),
            ("/a b", "'/a b'"),
            (r"a\x20b.service", r"'a\x20b.service'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), expected);
        }
    }
}
