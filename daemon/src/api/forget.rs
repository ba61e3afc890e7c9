//! `POST /v1/forget`: removes one mirror and what its owner has cached.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use docks_proto::mirrors::{ForgetReport, MirrorId};
use docks_proto::routes;

use super::Service;
use super::error::ApiError;
use super::extract::QueryParameters;

/// `POST /v1/forget`
pub(super) async fn forget(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
) -> Result<Json<ForgetReport>, ApiError> {
    let mirror = parameters.text(routes::MIRROR).and_then(MirrorId::parse);
    let Some(mirror) = mirror else {
        return Err(ApiError::BadRequest(format!(
            "`{}` must be the id of a mirror: 16 hexadecimal digits",
            routes::MIRROR
        )));
    };
    Ok(Json(service.registry.forget_mirror(mirror).await?))
}
