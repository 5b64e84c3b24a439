//! S3 as an object store with compare-and-swap.

use std::{io::Write as _, path::Path, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{Builder, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata as _, SdkError},
    operation::get_object::{GetObjectError, GetObjectOutput},
    primitives::ByteStream,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use domain::{
    Error, Result,
    layout::Location,
    ports::{Condition, Head, Object, ObjectStore, Swap},
};
use jiff::Timestamp;

use crate::{
    Context,
    failure::{failed, status},
};

/// What `get` takes into memory at most; larger objects are for `download`.
const IN_MEMORY: i64 = 64 * 1024 * 1024;
/// Read from a file at a time.
const CHUNK: usize = 64 * 1024;
/// Longest upload of a file. An attempt has no limit of its own: its length is the file's, and a
/// stream that stalls is ended by the SDK.
const UPLOAD: Duration = Duration::from_mins(10);

/// Without permission to list, S3 hides whether a key exists.
const READ: &str = "s3:GetObject (or s3:ListBucket: without it a missing key reads as denied, too)";
const READ_VERSION: &str =
    "s3:GetObjectVersion (or s3:ListBucket: without it a missing key reads as denied, too)";
const WRITE: &str = "s3:PutObject and, for an encrypted bucket, its key's kms:GenerateDataKey";

/// Objects in S3.
#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
}

impl S3 {
    /// A client; nothing is sent yet.
    pub fn new(context: &Context) -> Self {
        let config = Builder::from(&context.of("S3"))
            .force_path_style(context.path_style())
            .build();
        Self {
            client: Client::from_conf(config),
        }
    }

    async fn open(&self, at: &Location, version: Option<&str>) -> Result<Option<GetObjectOutput>> {
        let answer = self
            .client
            .get_object()
            .bucket(&at.bucket)
            .key(&at.key)
            .set_version_id(version.map(str::to_owned))
            .send()
            .await;
        match answer {
            Ok(output) => Ok(Some(output)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => {
                let (doing, action) = reading(at, version);
                Err(failed(doing, action, error))
            }
        }
    }
}

/// What is being done, and the permission that it takes.
fn reading(at: &Location, version: Option<&str>) -> (String, &'static str) {
    match version {
        Some(version) => (format!("reading {at}, version {version}"), READ_VERSION),
        None => (format!("reading {at}"), READ),
    }
}

/// A missing bucket isn't a missing key: it is a mistake in the configuration.
fn is_missing(error: &SdkError<GetObjectError, HttpResponse>) -> bool {
    matches!(error.code(), Some("NoSuchKey" | "NoSuchVersion"))
}

impl ObjectStore for S3 {
    async fn get(&self, at: &Location) -> Result<Option<Object>> {
        let Some(output) = self.open(at, None).await? else {
            return Ok(None);
        };
        let length = output.content_length.unwrap_or_default();
        if length > IN_MEMORY {
            return Err(Error::permanent(format!(
                "reading {at}: {length} bytes are more than the {IN_MEMORY} that are read into memory"
            )));
        }
        let etag = output.e_tag.ok_or_else(|| {
            Error::permanent(format!("reading {at}: the answer has no entity tag"))
        })?;
        let bytes = output.body.collect().await.map_err(|error| {
            Error::transient(format!("reading {at}: the content broke off")).because(error)
        })?;
        Ok(Some(Object {
            bytes: bytes.to_vec(),
            etag,
        }))
    }

    async fn head(&self, at: &Location, version: Option<&str>) -> Result<Option<Head>> {
        let answer = self
            .client
            .head_object()
            .bucket(&at.bucket)
            .key(&at.key)
            .set_version_id(version.map(str::to_owned))
            .send()
            .await;
        let (doing, action) = reading(at, version);
        let output = match answer {
            Ok(output) => output,
            // The answer to HEAD has no body, so a missing bucket can't be told from a missing key.
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(failed(doing, action, error)),
        };
        let head = || {
            Some(Head {
                bytes: output.content_length?.try_into().ok()?,
                // A bucket whose versioning was switched off has one version of this name.
                version: output.version_id.filter(|version| version != "null"),
                written: Timestamp::from_second(output.last_modified?.secs()).ok()?,
            })
        };
        head()
            .map(Some)
            .ok_or_else(|| Error::permanent(format!("{doing}: the answer has no size, or no time")))
    }

    async fn download(
        &self,
        at: &Location,
        version: Option<&str>,
        to: &Path,
    ) -> Result<Option<()>> {
        let Some(mut output) = self.open(at, version).await? else {
            return Ok(None);
        };
        // As with a disk that is full: the next attempt may have another one.
        let unwritable = |error: std::io::Error| {
            Error::transient(format!("writing {at} to {}", to.display())).because(error)
        };
        // Plain writes: the next chunk can't be awaited before this one is stored, and a write to
        // the page cache is shorter than a hop to another thread.
        let mut file = std::fs::File::create(to).map_err(unwritable)?;
        while let Some(chunk) = output.body.next().await {
            let chunk = chunk.map_err(|error| {
                Error::transient(format!("reading {at}: the content broke off")).because(error)
            })?;
            file.write_all(&chunk).map_err(unwritable)?;
        }
        Ok(Some(()))
    }

    async fn put(&self, at: &Location, bytes: Vec<u8>, content_type: &str) -> Result<()> {
        self.client
            .put_object()
            .bucket(&at.bucket)
            .key(&at.key)
            .content_type(content_type)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| failed(format!("writing {at}"), WRITE, error))?;
        Ok(())
    }

    async fn upload(&self, from: &Path, at: &Location, content_type: &str) -> Result<()> {
        let body = ByteStream::read_from()
            .path(from)
            .buffer_size(CHUNK)
            .build()
            .await
            .map_err(|error| {
                Error::transient(format!("reading {} to upload it to {at}", from.display()))
                    .because(error)
            })?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(crate::context::CONNECT)
            .operation_timeout(UPLOAD)
            .disable_operation_attempt_timeout()
            .build();
        self.client
            .put_object()
            .bucket(&at.bucket)
            .key(&at.key)
            .content_type(content_type)
            .body(body)
            .customize()
            .config_override(Builder::new().timeout_config(timeouts))
            .send()
            .await
            .map_err(|error| failed(format!("uploading {at}"), WRITE, error))?;
        Ok(())
    }

    async fn swap(&self, at: &Location, bytes: Vec<u8>, condition: Condition) -> Result<Swap> {
        let request = self
            .client
            .put_object()
            .bucket(&at.bucket)
            .key(&at.key)
            .content_type("application/json")
            .body(ByteStream::from(bytes));
        let request = match &condition {
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        match request.send().await {
            Ok(_) => Ok(Swap::Done),
            // The condition doesn't hold. 409 is another answer, and transient: somebody writes at this
            // moment, and may yet fail, so there may be nothing to read.
            Err(error) if status(&error) == Some(412) => Ok(Swap::Lost),
            // What should be unchanged was deleted.
            Err(error) if error.code() == Some("NoSuchKey") => Ok(Swap::Lost),
            Err(error) => Err(failed(
                format!("writing {at} on condition {condition:?}"),
                WRITE,
                error,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::Stub;
    use domain::Class;

    fn error(code: &str) -> String {
        format!("<Error><Code>{code}</Code><Message>said so</Message></Error>")
    }

    fn at() -> Location {
        Location::new("bucket", "a/key")
    }

    #[tokio::test]
    async fn a_missing_key_is_none_and_anything_else_is_an_error() {
        let stub = Stub::raw(vec![
            (404, error("NoSuchKey")),
            (404, error("NoSuchVersion")),
            (404, error("NoSuchBucket")),
            (403, error("AccessDenied")),
        ]);
        let s3 = S3::new(&stub.context());
        assert_eq!(s3.get(&at()).await.unwrap(), None);
        assert!(s3.open(&at(), Some("v")).await.unwrap().is_none());
        let error = s3.get(&at()).await.unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        let error = s3.get(&at()).await.unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        assert!(error.to_string().contains("s3:ListBucket"), "{error}");
        assert_eq!(stub.requests()[0].path, "/bucket/a/key?x-id=GetObject");
    }

    #[tokio::test]
    async fn a_full_disk_is_tried_again() {
        let stub = Stub::raw(vec![(200, "rows".repeat(CHUNK))]);
        let s3 = S3::new(&stub.context());
        let error = s3.download(&at(), None, Path::new("/dev/full")).await;
        let error = error.unwrap_err();
        assert_eq!(error.class(), Class::Transient, "{error}");
        let missing = Path::new("/nowhere/rows.csv");
        let error = s3.upload(missing, &at(), "text/csv").await.unwrap_err();
        assert_eq!(error.class(), Class::Transient, "{error}");
    }

    #[tokio::test]
    async fn what_has_no_head_is_none_and_a_denial_names_what_it_takes() {
        let stub = Stub::raw(vec![
            (404, String::new()),
            (403, String::new()),
            (200, String::new()),
        ]);
        let s3 = S3::new(&stub.context());
        assert_eq!(s3.head(&at(), None).await.unwrap(), None);
        let denied = s3.head(&at(), Some("v")).await.unwrap_err();
        assert_eq!(denied.class(), Class::Permanent);
        assert!(
            denied.to_string().contains("s3:GetObjectVersion"),
            "{denied}"
        );
        let timeless = s3.head(&at(), None).await.unwrap_err();
        assert!(timeless.to_string().contains("no time"), "{timeless}");
        let requests = stub.requests();
        assert_eq!(requests[0].method, "HEAD");
        assert!(requests[1].path.contains("versionId=v"));
    }

    #[tokio::test]
    async fn who_comes_second_loses_the_swap() {
        let stub = Stub::raw(vec![
            (200, String::new()),
            (412, error("PreconditionFailed")),
            (404, error("NoSuchKey")),
            (409, error("ConditionalRequestConflict")),
            (409, error("OperationAborted")),
            (403, error("AccessDenied")),
        ]);
        let s3 = S3::new(&stub.context());
        let unchanged = || Condition::Unchanged("\"tag\"".to_owned());
        let done = s3.swap(&at(), b"{}".to_vec(), Condition::Absent).await;
        assert_eq!(done.unwrap(), Swap::Done);
        for _ in 0..2 {
            let lost = s3.swap(&at(), b"{}".to_vec(), unchanged()).await;
            assert_eq!(lost.unwrap(), Swap::Lost);
        }
        for expected in [Class::Transient, Class::Transient, Class::Permanent] {
            let error = s3.swap(&at(), b"{}".to_vec(), unchanged()).await;
            let error = error.unwrap_err();
            assert_eq!(error.class(), expected, "{error}");
        }
        let requests = stub.requests();
        assert_eq!(requests[0].headers["if-none-match"], "*");
        assert_eq!(requests[1].headers["if-match"], "\"tag\"");
    }
}
