//! A denied call, as a function tells of it.

/// How the functions tell of what IAM denies.
const DENIED: &str = "access denied; the caller needs ";

/// The action that was denied; `None` when the text tells of no denial.
pub(crate) fn denied(told: &str) -> Option<String> {
    let (_, told) = told.split_once(DENIED)?;
    // In IAM's words: creating something may fail by another action than its own, `iam:PassRole`.
    let action = told.split_once("not authorized to perform: ");
    let action = action.map_or(told, |(_, rest)| rest);
    let end = action.find(|c: char| !(c.is_ascii_alphanumeric() || c == ':'));
    let action = &action[..end.unwrap_or(action.len())];
    Some(action.trim_end_matches(':').to_owned())
}

#[cfg(test)]
mod tests {
    use super::denied;

    #[test]
    fn the_action_is_read_from_what_a_function_tells() {
        for (told, expected) in [
            (
                "Permanent: creating the model m: access denied; the caller needs sagemaker:CreateModel (AccessDeniedException: User: arn:aws:sts::0:assumed-role/r/s is not authorized to perform: iam:PassRole on resource: arn:aws:iam::0:role/e because no identity-based policy allows the iam:PassRole action)",
                Some("iam:PassRole"),
            ),
            (
                "Permanent: reading s3://b/a/k.json: access denied; the caller needs s3:GetObject (HTTP 403)",
                Some("s3:GetObject"),
            ),
            ("Malformed: the message is not JSON", None),
        ] {
            assert_eq!(denied(told).as_deref(), expected, "{told}");
        }
    }
}
