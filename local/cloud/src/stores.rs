//! S3 as SageMaker's jobs and models use it: with their execution role, so that the emulator enforces its policy.

use std::sync::Arc;

use local_sagemaker::{ObjectStore, StoreError, Stores};
use local_wire::BoxFuture;

use crate::identity::Identity;

/// Calls S3 as the role that is asked for.
pub(crate) struct RoleStores(pub(crate) Arc<Identity>);

impl Stores for RoleStores {
    fn as_role<'a>(
        &'a self,
        role_arn: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn ObjectStore>, StoreError>> {
        Box::pin(async move {
            let wire = self.0.wire_as(role_arn).await;
            let wire = wire.map_err(|error| StoreError(format!("{error:#}")))?;
            Ok(Arc::new(wire) as Arc<dyn ObjectStore>)
        })
    }
}
