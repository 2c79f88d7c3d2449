//! `fence:` the keys by which origins can believe what a request says of its side.

use std::fmt;
use std::sync::Arc;

/// A key, and the name that signatures call it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceKey {
    /// The name; it has no dot in it.
    pub id: String,
    /// The key itself.
    pub secret: Secret,
}

impl FenceKey {
    /// Names a secret.
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.into(),
            secret: Secret(secret.into()),
        }
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Shows it to whoever signs.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let key = FenceKey::new("a", "correct horse battery staple");

        assert_eq!(
            format!("{key:?}"),
            "FenceKey { id: \"a\", secret: Secret(…) }"
        );
    }
}
