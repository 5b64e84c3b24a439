//! The pipeline in memory: the functions behind their own patterns, on a world that can be crashed.

mod compare;
mod disorder;
mod pipeline;
mod routes;
pub mod scene;
mod told;

pub use compare::normal;
pub use disorder::Disorder;
pub use pipeline::Pipeline;
pub use routes::Routes;
pub use told::{STORIES, Story, What};
