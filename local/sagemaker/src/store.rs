//! Objects: the little of S3 that jobs and models need.

use std::sync::Arc;

use bytes::Bytes;
use local_wire::{BoxFuture, Wire};

/// Why an object couldn't be read, written or listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Where training data, models and results are kept.
pub trait ObjectStore: Send + Sync + 'static {
    /// Body of an object; `None` when there is none.
    fn get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>>;

    /// Writes an object.
    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        body: Bytes,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Keys that start with `prefix`, in any order. A missing bucket is an error.
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, StoreError>>;
}

/// The objects as an execution role sees them: a job or model reads and writes with its own role, which
/// need not be allowed to.
pub trait Stores: Send + Sync + 'static {
    /// A store that calls as this role, by ARN.
    fn as_role<'a>(
        &'a self,
        role_arn: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn ObjectStore>, StoreError>>;
}

/// A store that knows no roles is the same for each.
impl<T: ObjectStore + Clone> Stores for T {
    fn as_role<'a>(
        &'a self,
        _role_arn: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn ObjectStore>, StoreError>> {
        let store: Arc<dyn ObjectStore> = Arc::new(self.clone());
        Box::pin(async { Ok(store) })
    }
}

impl ObjectStore for Wire {
    fn get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(async move {
            let found = self.s3_get(bucket, key).await;
            found.map_err(|error| StoreError(error.to_string()))
        })
    }

    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        body: Bytes,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let written = self.s3_put(bucket, key, body).await;
            written.map_err(|error| StoreError(error.to_string()))
        })
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            let listed = self.s3_list(bucket, prefix).await;
            let objects = listed.map_err(|error| StoreError(error.to_string()))?;
            Ok(objects.into_iter().map(|object| object.key).collect())
        })
    }
}

/// `s3://{bucket}/{key}`, where the key may be a prefix or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Uri {
    /// Bucket.
    pub(crate) bucket: String,
    /// Key or key prefix.
    pub(crate) key: String,
}

impl S3Uri {
    /// Reads `s3://…`; the `https` form, which AWS takes too, is not understood.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (bucket, key) = match text.strip_prefix("s3://")?.split_once('/') {
            Some(parts) => parts,
            None => (text.strip_prefix("s3://")?, ""),
        };
        (!bucket.is_empty()).then(|| Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The place `{self}/{path}`, whether or not this one ends with a slash.
    pub(crate) fn join(&self, path: &str) -> Self {
        let folder = self.key.trim_end_matches('/');
        Self {
            bucket: self.bucket.clone(),
            key: if folder.is_empty() {
                path.to_owned()
            } else {
                format!("{folder}/{path}")
            },
        }
    }

    /// The keys under this prefix that hold data (folder markers end with a slash), sorted.
    pub(crate) async fn objects(&self, store: &dyn ObjectStore) -> Result<Vec<String>, StoreError> {
        let mut keys = store.list(&self.bucket, &self.key).await?;
        keys.retain(|key| !key.ends_with('/'));
        keys.sort_unstable();
        Ok(keys)
    }

    /// Where `key`, found under this prefix, goes in a job's folder: what follows the prefix, or the
    /// file's name when the prefix is the whole key. A prefix that ends within a name (`data/tr` for
    /// `data/train.csv`) counts up to its last slash.
    pub(crate) fn relative<'k>(&self, key: &'k str) -> &'k str {
        let folder = self.key.rfind('/').map_or(0, |slash| slash + 1);
        match key.strip_prefix(&self.key) {
            Some("") | None => key.rsplit('/').next().unwrap_or(key),
            Some(rest) if self.key.is_empty() || self.key.ends_with('/') => rest,
            Some(rest) => rest.strip_prefix('/').unwrap_or(&key[folder..]),
        }
    }
}

impl std::fmt::Display for S3Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_and_joined() {
        let uri = S3Uri::parse("s3://bucket/models/").expect("URI");
        assert_eq!(
            uri.join("job/out").to_string(),
            "s3://bucket/models/job/out"
        );
        let bare = S3Uri::parse("s3://bucket").expect("URI");
        assert_eq!(bare.join("x").to_string(), "s3://bucket/x");
        assert_eq!(S3Uri::parse("s3:///x"), None);
        assert_eq!(S3Uri::parse("file:///x"), None);
    }

    #[test]
    fn files_keep_their_place_under_the_prefix() {
        for (prefix, key, expected) in [
            ("data/train/", "data/train/a/b.csv", "a/b.csv"),
            ("data/train", "data/train/b.csv", "b.csv"),
            ("data/tr", "data/train.csv", "train.csv"),
            ("data/train.csv", "data/train.csv", "train.csv"),
            ("", "data/train.csv", "data/train.csv"),
        ] {
            let uri = S3Uri::parse(&format!("s3://b/{prefix}")).expect("URI");
            assert_eq!(uri.relative(key), expected, "{prefix} {key}");
        }
    }
}
