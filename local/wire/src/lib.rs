//! What the parts of the local cloud share: signed calls to the emulator, who may call what, and how
//! a service's event reaches the deployed rules.
//!
//! The functions never see this crate; they talk to the local cloud through the AWS SDK as they do
//! on AWS.

mod call;
mod seams;

pub use call::{CallError, Credentials, S3Object, Wire};
pub use seams::{Authorize, BoxFuture, Caller, Deliver, ImageSpec, Images, Refused};
