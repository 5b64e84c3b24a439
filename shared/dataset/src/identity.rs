//! The identity of a data set.

use sha2::{Digest as _, Sha256};

/// The identity of a training file with its optional validation file: the first 12 hex digits of
/// the SHA-256 over the line `train <digest>`, followed by `validation <digest>` if there is such a
/// file, each line ended by LF. Digests are those of the [reports](crate::Report::digest).
pub fn dataset_id(train_digest: &str, validation_digest: Option<&str>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("train {train_digest}\n"));
    if let Some(digest) = validation_digest {
        hash.update(format!("validation {digest}\n"));
    }
    let mut id = hex::encode(hash.finalize());
    id.truncate(12);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_the_shell_says() {
        // printf 'train aa\n' | sha256sum; printf 'train aa\nvalidation bb\n' | sha256sum
        assert_eq!(dataset_id("aa", None), "e3148fe76911");
        assert_eq!(dataset_id("aa", Some("bb")), "eb1862a934f8");
    }
}
