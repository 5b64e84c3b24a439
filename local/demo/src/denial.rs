//! A denied call, read from the reason that a function gives.

use std::fmt;

/// What was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    /// `s3:GetObject`.
    pub(crate) action: String,
    /// Its ARN; some services don't tell.
    pub(crate) resource: Option<String>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            Some(resource) => write!(f, "{} on {resource}", self.action),
            None => f.write_str(&self.action),
        }
    }
}

impl Denial {
    /// `None` when the reason tells of no denial.
    pub(crate) fn read(reason: &str) -> Option<Self> {
        let (doing, told) = reason.split_once("access denied; the caller needs ")?;
        let needs = word(told);
        // In IAM's words: creating something may fail by another action than its own, `iam:PassRole`.
        let action = told.split_once("not authorized to perform: ");
        let action = action.map_or(needs, |(_, rest)| word(rest));
        let resource = told.split_once("on resource: ");
        let resource = resource.map(|(_, rest)| word(rest).to_owned()).or_else(|| {
            let (_, object) = doing.split_once("s3://")?;
            Some(format!("arn:aws:s3:::{}", word(object)))
        });
        Some(Self {
            action: action.to_owned(),
            resource,
        })
    }
}

/// Up to what can't be in an action or an ARN.
fn word(text: &str) -> &str {
    let text = text.trim_start_matches('"');
    let end = text.find([' ', '"', ',', ')', ';']);
    text[..end.unwrap_or(text.len())].trim_end_matches([':', '.'])
}

#[cfg(test)]
mod tests {
    use super::Denial;

    #[test]
    fn action_and_resource_are_read_from_the_reason() {
        let denied = |action: &str, resource: Option<&str>| {
            Some(Denial {
                action: action.to_owned(),
                resource: resource.map(str::to_owned),
            })
        };
        for (reason, expected) in [
            (
                "Permanent: creating the model m: access denied; the caller needs sagemaker:CreateModel (AccessDeniedException: User: arn:aws:sts::0:assumed-role/r/s is not authorized to perform: iam:PassRole on resource: arn:aws:iam::0:role/e because no identity-based policy allows the iam:PassRole action)",
                denied("iam:PassRole", Some("arn:aws:iam::0:role/e")),
            ),
            (
                "Permanent: reading s3://b/a/k.json: access denied; the caller needs s3:GetObject (HTTP 403)",
                denied("s3:GetObject", Some("arn:aws:s3:::b/a/k.json")),
            ),
            (
                "Permanent: announcing: access denied; the caller needs events:PutEvents (AccessDeniedException: no)",
                denied("events:PutEvents", None),
            ),
            ("Malformed: the message is not JSON", None),
        ] {
            assert_eq!(Denial::read(reason), expected, "{reason}");
        }
    }
}
