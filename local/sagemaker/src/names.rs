//! Names and ARNs.

/// Where the resources live: makes their ARNs.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// Region of every ARN.
    pub(crate) region: String,
    /// Account of every ARN.
    pub(crate) account: String,
}

impl Names {
    /// `arn:aws:sagemaker:{region}:{account}:{kind}/{name}`.
    pub(crate) fn arn(&self, kind: &str, name: &str) -> String {
        format!(
            "arn:aws:sagemaker:{}:{}:{kind}/{name}",
            self.region, self.account
        )
    }

    /// The ARN of a `kind` that was given as an ARN or as a name.
    pub(crate) fn arn_of(&self, kind: &str, arn_or_name: &str) -> String {
        if arn_or_name.starts_with("arn:") {
            arn_or_name.to_owned()
        } else {
            self.arn(kind, arn_or_name)
        }
    }
}

/// What stands after `{kind}/` in an ARN; a plain name is returned as it is.
pub(crate) fn name_in(arn_or_name: &str) -> &str {
    if !arn_or_name.starts_with("arn:") {
        return arn_or_name;
    }
    arn_or_name
        .split_once('/')
        .map_or(arn_or_name, |(_, name)| name)
}

/// SageMaker's `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`: letters, digits and inner hyphens, 63 at most.
pub(crate) fn is_name(text: &str) -> bool {
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && alphanumeric(text.chars().next())
        && alphanumeric(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// A channel's `[A-Za-z0-9\.\-_]+`, 64 at most. Channels become folders, so `.` and `..` are out too.
pub(crate) fn is_channel(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        && !text.chars().all(|c| c == '.')
}

/// An IAM role's ARN.
pub(crate) fn is_role(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    parts.next() == Some("arn")
        && parts.next().is_some_and(|p| p.starts_with("aws"))
        && parts.next() == Some("iam")
        && parts.next() == Some("")
        && parts
            .next()
            .is_some_and(|a| a.len() == 12 && a.chars().all(|c| c.is_ascii_digit()))
        && parts
            .next()
            .is_some_and(|r| r.len() > 5 && r.starts_with("role/"))
}

/// What keys and values of tags and of metadata are made of.
pub(crate) const PLAIN: &str = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$";

/// Whether a text satisfies [`PLAIN`]. Letters of scripts that write with marks are taken with them.
pub(crate) fn is_plain(text: &str) -> bool {
    let is_space = |c: char| c.is_whitespace() && !c.is_control();
    text.chars()
        .all(|c| c.is_alphanumeric() || c.is_numeric() || is_space(c) || "_.:/=+-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_pattern() {
        for good in [
            "a",
            "retail-forecast-build-12-abc1234",
            "A--b",
            &"x".repeat(63),
        ] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a_b", "a/b", "../x", &"x".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn channels_are_single_folders() {
        assert!(is_channel("train_1.a"));
        for bad in ["", ".", "..", "a/b", "a b"] {
            assert!(!is_channel(bad), "{bad}");
        }
    }

    #[test]
    fn roles_are_iam_arns() {
        assert!(is_role(
            "arn:aws:iam::000000000000:role/sagemaker-exec-role"
        ));
        for bad in [
            "sagemaker-exec-role",
            "arn:aws:iam::1:role/x",
            "arn:aws:sts::000000000000:role/x",
            "arn:aws:iam::000000000000:user/x",
        ] {
            assert!(!is_role(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_is_read_from_either_form() {
        assert_eq!(name_in("arn:aws:sagemaker:r:1:model-package/g/3"), "g/3");
        assert_eq!(name_in("g/3"), "g/3");
    }
}
