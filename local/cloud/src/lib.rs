//! AWS on one machine, with the project's functions deployed as they are.
//!
//! An emulator ([`emulator`]) answers for most services, with IAM enforced. What it lacks stands in
//! front of it or beside it: ECR's scans and events ([`registry`]), CloudWatch's alarms (crate
//! `local-alarms`), SageMaker (crate `local-sagemaker`), EKS and its cluster (crate
//! `local-kubernetes`). What AWS would refuse and the emulator lets pass is refused before it is
//! deployed ([`refusal`]).
//!
//! A deployment is worked out from the project's files ([`settings`], [`names`], [`plan`]) and then
//! made ([`deploy`]). [`Cloud`] is the whole; [`drive`] is what a demonstration or a test does to it. Who proves
//! what the policies are there for is told of each call that is [`Denied`], which waits meanwhile.

mod cloud;
pub mod deploy;
pub mod drive;
pub mod emulator;
pub mod grants;
mod held;
pub mod identity;
pub mod image;
pub mod manifests;
pub mod names;
pub mod plan;
pub mod real;
pub mod refusal;
pub mod registry;
pub mod router;
mod scan;
mod services;
pub mod settings;
mod state;
mod stores;
mod tap;
pub mod unenforced;
mod watch;

pub use cloud::{Addresses, Cloud, Options};
pub use drive::{Alert, Depths};
pub use held::Denied;
pub use image::Findings;
pub use local_kubernetes::RealCluster;
pub use scan::UNSUPPORTED;
pub use state::StateFolder;
pub use tap::Tap;
