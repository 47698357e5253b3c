//! The one error that clients see: a stable code, a message that helps, and nothing about the inside.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::refusals::Why;
use crate::access::permission::Permission;
use crate::access::role::Role;
use crate::deploy::Refusal;
use crate::evidence::KeeperError;
use crate::store::StoreError;

#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    /// Clients may depend on it; it never changes for the same reason.
    code: &'static str,
    message: String,
    /// The query parameter at fault.
    parameter: Option<Box<str>>,
    hint: Option<Hint>,
    detail: Option<Box<str>>,
}

/// What the client may do about it, as a header.
#[derive(Debug)]
enum Hint {
    Challenge(&'static str),
    RetryAfterS(u32),
}

/// What an error does not tell the client, on its way to the log.
#[derive(Clone, Debug)]
pub(crate) struct PrivateDetail(pub(crate) Box<str>);

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), parameter: None, hint: None, detail: None }
    }

    pub(crate) fn bad_parameter(parameter: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "bad_parameter", message);
        error.parameter = Some(parameter.into());
        error
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_body", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub(crate) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time")
    }

    pub(crate) fn unauthorized(challenge: &'static str) -> Self {
        let message = "this needs an Authorization header with a valid Bearer token";
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        error.hint = Some(Hint::Challenge(challenge));
        error
    }

    /// Somebody has shown a token or a signature, and it does not count. The reason is for the one who has to mend it.
    pub(crate) fn not_let_in(reason: Option<&str>, detail: impl Into<Box<str>>) -> Self {
        let mut error = Self::unauthorized(INVALID_TOKEN);
        if let Some(reason) = reason {
            error.message = format!("this does not let you in: {reason}");
        }
        error.detail = Some(detail.into());
        error
    }

    pub(crate) fn unlisted() -> Self {
        let message = "this endpoint is not in the list of endpoints, so nobody may use it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unlisted", message)
    }

    pub(crate) fn held(retry_after_s: u32) -> Self {
        let message = "too many attempts to sign in have failed from here; wait a while";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", message);
        error.hint = Some(Hint::RetryAfterS(retry_after_s));
        error
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this resource has no such method")
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(crate) fn last_admin() -> Self {
        let message = "this would take away the last way in for an admin, and nobody could undo it from here; make \
                       another admin first, or repeat it with force=true";
        Self::new(StatusCode::CONFLICT, "last_admin", message)
    }

    pub(crate) fn invalid_bundle(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_bundle", message)
    }

    pub(crate) fn no_admin() -> Self {
        let message = "nobody may change anything: this collector has no admin";
        Self::new(StatusCode::FORBIDDEN, "no_admin_token", message)
    }

    pub(crate) fn forbidden(permission: Permission) -> Self {
        let with = Role::ALL.into_iter().filter(|role| role.permissions().has(permission));
        let roles: Vec<&str> = with.map(Role::name).collect();
        let message =
            format!("this needs the permission {permission}, which the roles {} have", roles.join(", "));
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn unsupported_encoding() -> Self {
        let message = "content-encoding may be gzip, zstd or identity";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message)
    }

    pub(crate) fn busy() -> Self {
        let message = "too many batches are being stored; send this one again";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message);
        error.hint = Some(Hint::RetryAfterS(1));
        error
    }

    pub(crate) fn too_many_exports() -> Self {
        let message = "too many exports are under way; ask again when one has ended";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message);
        error.hint = Some(Hint::RetryAfterS(10));
        error
    }

    pub(crate) fn too_many_watchers() -> Self {
        let message = "as many watch the live feed as may; ask again when one has left";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message);
        error.hint = Some(Hint::RetryAfterS(10));
        error
    }

    pub(crate) fn queue_full() -> Self {
        let message = "too many texts wait for an opinion already; ask again, or decide without one";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message);
        error.hint = Some(Hint::RetryAfterS(1));
        error
    }

    pub(crate) fn too_late() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "deadline", "not everything was read before the deadline")
    }

    pub(crate) fn no_opinion(detail: impl Into<Box<str>>) -> Self {
        let message = "the model gave no answer";
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "model_failed", message);
        error.hint = Some(Hint::RetryAfterS(5));
        error.detail = Some(detail.into());
        error
    }

    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(crate) fn unavailable(detail: impl Into<Box<str>>) -> Self {
        let message = "the store does not answer; nothing was acknowledged, try again";
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message);
        error.hint = Some(Hint::RetryAfterS(5));
        error.detail = Some(detail.into());
        error
    }
}

pub(crate) const INVALID_TOKEN: &str = "Bearer realm=\"sentinel\", error=\"invalid_token\"";

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<KeeperError> for ApiError {
    fn from(error: KeeperError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(message) => Self::malformed(message),
            Refusal::NotFound(message) => Self::not_found(message),
            Refusal::Conflict(message) => Self::conflict(message),
            Refusal::Invalid(message) => Self::invalid_bundle(message),
            Refusal::Store(error) => error.into(),
        }
    }
}

/// What every error looks like.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct Body {
    error: Content,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErrorContent")]
struct Content {
    /// For programs: it never changes for the same reason.
    #[schemars(schema_with = "super::openapi::any_code")]
    code: &'static str,
    /// For people.
    message: String,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<Box<str>>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = Content { code: self.code, message: self.message, parameter: self.parameter };
        let mut response = (self.status, Json(Body { error })).into_response();
        let hint = match self.hint {
            Some(Hint::Challenge(challenge)) => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)))
            }
            Some(Hint::RetryAfterS(seconds)) => Some((header::RETRY_AFTER, seconds.into())),
            None => None,
        };
        if let Some((name, value)) = hint {
            response.headers_mut().insert(name, value);
        }
        if matches!(self.status.as_u16(), 401 | 403) {
            let why = self.detail.as_deref().unwrap_or(self.code);
            response.extensions_mut().insert(Why(why.to_owned()));
        }
        if let Some(detail) = self.detail {
            response.extensions_mut().insert(PrivateDetail(detail));
        }
        response
    }
}
