//! What the parts of the local cloud share: signed calls to the emulator, servers that stand before it
//! ([`front`]), who may call what ([`iam`] has the policies), and how a service's event reaches the
//! deployed rules and its metrics CloudWatch.
//!
//! The functions never see this crate; they talk to the local cloud through the AWS SDK as they do
//! on AWS.

mod call;
pub mod front;
mod group;
pub mod iam;
mod port;
mod s3;
mod seams;
mod xml;

pub use call::{CallError, Credentials, Response, Wire, http_client};
pub use group::ProcessGroup;
pub use http::Method;
pub use port::ReservedPort;
pub use s3::S3Object;
pub use seams::{
    AlarmState, Authorize, BoxFuture, Caller, Deliver, ImageSpec, Images, Refused, Watch,
};
pub use xml::{text as xml_text, texts as xml_texts};
