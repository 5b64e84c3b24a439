//! Objects, path-style.

use bytes::Bytes;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use roxmltree::Document;

use crate::{CallError, Wire, xml};

/// What S3 wants encoded in a query value: everything but RFC 3986's unreserved characters.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same in a path, where `/` separates.
const PATH: &AsciiSet = &VALUE.remove(b'/');

/// An entry of an S3 listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Object {
    /// Object key.
    pub key: String,
    /// Bytes.
    pub size: u64,
}

impl Wire {
    /// Body of an object; `None` when there is no such object or bucket.
    pub async fn s3_get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, CallError> {
        match self
            .rest("s3", Method::GET, &path(bucket, key), &[], Bytes::new())
            .await
        {
            Ok(response) => Ok(Some(response.body)),
            Err(CallError::Service { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an object.
    pub async fn s3_put(
        &self,
        bucket: &str,
        key: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), CallError> {
        self.rest("s3", Method::PUT, &path(bucket, key), &[], body)
            .await
            .map(drop)
    }

    /// All objects whose key starts with `prefix`, in key order.
    pub async fn s3_list(&self, bucket: &str, prefix: &str) -> Result<Vec<S3Object>, CallError> {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let page = self.s3_page(bucket, prefix, token.as_deref()).await?;
            let malformed = |reason: String| CallError::Malformed {
                service: "s3".to_owned(),
                operation: "ListObjectsV2".to_owned(),
                reason,
            };
            let (found, next) = listing(&page).map_err(malformed)?;
            objects.extend(found);
            match next {
                Some(next) => token = Some(next),
                None => return Ok(objects),
            }
        }
    }

    async fn s3_page(
        &self,
        bucket: &str,
        prefix: &str,
        token: Option<&str>,
    ) -> Result<String, CallError> {
        let mut query = format!(
            "{}?list-type=2&prefix={}",
            path(bucket, ""),
            utf8_percent_encode(prefix, VALUE)
        );
        if let Some(token) = token {
            query.push_str("&continuation-token=");
            query.extend(utf8_percent_encode(token, VALUE));
        }
        let response = self
            .rest("s3", Method::GET, &query, &[], Bytes::new())
            .await?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }
}

fn path(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", utf8_percent_encode(key, PATH))
}

/// Objects of a page, and the token of the next one.
fn listing(page: &str) -> Result<(Vec<S3Object>, Option<String>), String> {
    let document = Document::parse(page).map_err(|error| error.to_string())?;
    let root = document.root_element();
    let mut objects = Vec::new();
    for entry in root
        .children()
        .filter(|node| node.tag_name().name() == "Contents")
    {
        let key = xml::child(entry, "Key").ok_or("an entry without a key")?;
        let size = xml::child(entry, "Size").ok_or("an entry without a size")?;
        objects.push(S3Object {
            key: key.to_owned(),
            size: size.parse().map_err(|_| format!("size {size:?}"))?,
        });
    }
    if xml::child(root, "IsTruncated") != Some("true") {
        return Ok((objects, None));
    }
    let token = xml::child(root, "NextContinuationToken").ok_or("truncated without a token")?;
    Ok((objects, Some(token.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::{S3Object, listing, path};

    #[test]
    fn keys_are_encoded_but_for_their_slashes() {
        assert_eq!(path("b", "a b/ü+.csv"), "/b/a%20b/%C3%BC%2B.csv");
    }

    #[test]
    fn a_listing_says_where_it_goes_on() {
        let page = r#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <IsTruncated>true</IsTruncated><NextContinuationToken>t=1</NextContinuationToken>
            <Contents><Key>a&amp;b</Key><Size>12</Size></Contents></ListBucketResult>"#;
        let object = S3Object {
            key: "a&b".to_owned(),
            size: 12,
        };
        assert_eq!(listing(page), Ok((vec![object], Some("t=1".to_owned()))));
    }

    #[test]
    fn a_truncated_listing_without_a_token_is_an_error() {
        let page = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert!(listing(page).is_err());
    }
}
