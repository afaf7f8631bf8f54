//! `GET /healthz`: whether the database answers, for whoever watches over us.

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tracing::warn;

use crate::database::Database;

/// What every build serves.
pub(super) fn router(database: Database) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .with_state(database)
}

/// 200 or 503.
async fn health(State(database): State<Database>) -> Response {
    match database.ping().await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => {
            warn!("health: {error}");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer\n",
            )
                .into_response()
        }
    }
}
