//! The registry's REST API, as Confluent's has it.
//!
//! Enters: HTTP requests. Leaves: HTTP answers; calls of the [`Registry`]. Nothing is decided here: a resource reads what its
//! path, query and body say, asks the registry, and writes what it answers.
//!
//! | file | what is in it |
//! |---|---|
//! | `routes` | the table of methods and paths: what is not in it is not served |
//! | `path` | paths taken apart; `/contexts/{context}` before any of them |
//! | `media` | content types, asked for and given |
//! | `cors` | what pages of other origins may read |
//! | `call` | what a resource gets |
//! | the others | one resource each |

mod call;
mod compatibility;
mod config;
mod contexts;
mod cors;
mod media;
mod mode;
mod path;
mod routes;
mod schemas;
mod server;
mod subjects;
mod versions;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use serde_json::json;
use tracing::debug;

use self::call::{Body, Call};
use self::cors::CorsRules;
use self::routes::Found;
use super::access::{Access, Permissions};
use super::{Error, Registry};
use crate::services::http::Service;

/// The API of one registry.
pub struct Rest {
    registry: Arc<Registry>,
    server: Arc<ServerInfo>,
    /// None: everyone may do everything.
    access: Option<Access>,
    cors: Option<CorsRules>,
}

/// What `/v1/metadata` tells besides the cluster's id.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// `schema.registry.group.id`.
    pub group_id: String,
}

impl Rest {
    pub fn new(
        registry: Arc<Registry>,
        server: ServerInfo,
        access: Option<Access>,
        cors: Option<crate::config::Cors>,
    ) -> Rest {
        Rest { registry, server: Arc::new(server), access, cors: cors.map(CorsRules::new) }
    }

    /// Who asks; an answer if nobody that is known does.
    fn user(&self, headers: &HeaderMap) -> Result<Option<Arc<Permissions>>, Box<Response<Bytes>>> {
        let Some(access) = &self.access else { return Ok(None) };
        let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        access.permissions(given).map(Some).map_err(|refusal| {
            let (code, message) = refusal.status();
            let mut response = error_response(&Error { code, message: message.to_owned() }, media::DEFAULT);
            if code == 401
                && let Ok(realm) = HeaderValue::from_str(&format!("Basic realm=\"{}\"", access.realm()))
            {
                response.headers_mut().insert(WWW_AUTHENTICATE, realm);
            }
            Box::new(response)
        })
    }

    async fn route(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let media = media::negotiate(&head.headers);
        let media_or_default = media.unwrap_or(media::DEFAULT);
        let error = |error: &Error| error_response(error, media_or_default);
        let target = match path::Target::read(&head.uri) {
            Ok(target) => target,
            Err(why) => return error(&why),
        };
        let (row, parameters) = match routes::find(&head.method, &target.segments) {
            Found::Row(row, parameters) => (row, parameters),
            Found::Options(allow) => return allowed(allow, Response::new(Bytes::new())),
            Found::WrongMethod(allow) => {
                return allowed(allow, error(&http_error(405, "Method Not Allowed")));
            }
            Found::Nothing => return error(&http_error(404, "Not Found")),
        };
        if media.is_none() {
            return error(&http_error(406, "Not Acceptable"));
        }
        if !body.is_empty() && !media::is_consumed(head.headers.get(CONTENT_TYPE)) {
            return error(&http_error(415, "Unsupported Media Type"));
        }
        let user = match self.user(&head.headers) {
            Ok(user) => user,
            Err(refused) => return *refused,
        };
        let (registry, server) = (Arc::clone(&self.registry), Arc::clone(&self.server));
        let mut call = Call { registry, server, parameters, query: target.query, body, user };
        if let Err(why) = call.name_subject(row.path).await.and_then(|()| call.check(row.need)) {
            return error(&why);
        }
        match (row.handle)(call).await {
            Ok(body) => body_response(body, media_or_default),
            Err(why) => error(&why),
        }
    }
}

impl Service for Rest {
    fn refuse(&self, head: &Parts) -> Option<Response<Bytes>> {
        // A browser asks first without credentials.
        if head.method == Method::OPTIONS {
            return None;
        }
        self.user(&head.headers).err().map(|refused| *refused)
    }

    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let origin = request.headers().get(ORIGIN).cloned();
        if let Some(preflight) = self.cors.as_ref().and_then(|cors| cors.preflight(&request)) {
            return preflight;
        }
        let asked = (request.method().clone(), request.uri().path().to_owned());
        let mut response = self.route(request).await;
        debug!("{} {}: {}", asked.0, asked.1, response.status());
        if let (Some(cors), Some(origin)) = (&self.cors, origin) {
            cors.allow(&origin, response.headers_mut());
        }
        response
    }

    fn malformed(&self, status: u16) -> Response<Bytes> {
        let message = hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let code = i32::from(status);
        error_response(&Error { code, message: message.unwrap_or_default().to_owned() }, media::DEFAULT)
    }
}

/// Methods and paths, as the documents have them.
pub fn paths() -> impl Iterator<Item = (&'static str, &'static str)> {
    routes::ROWS.iter().map(|row| (row.method.as_str(), row.path))
}

/// As Jersey words what it refuses by itself.
fn http_error(status: i32, reason: &str) -> Error {
    Error { code: status, message: format!("HTTP {status} {reason}") }
}

fn error_response(error: &Error, media: &'static str) -> Response<Bytes> {
    let body = json!({"error_code": error.code, "message": error.message}).to_string();
    response(error.status(), body.into(), media)
}

fn body_response(body: Body, media: &'static str) -> Response<Bytes> {
    match body {
        Body::Text(text) => response(200, text, media),
        Body::Nothing => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = hyper::StatusCode::NO_CONTENT;
            response
        }
    }
}

fn response(status: u16, body: Bytes, media: &'static str) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

fn allowed(methods: String, mut response: Response<Bytes>) -> Response<Bytes> {
    if let Ok(methods) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}
