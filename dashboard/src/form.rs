//! What a query or a form brings.

use std::convert::Infallible;

use axum::{
    Form,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use subtle::ConstantTimeEq;

use super::{identity::Identity, layout};

/// The field that proves that a form is one of ours.
const KEY: &str = "form_key";

/// Names and values in order; a name may come more than once.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of a name, where it is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(one, _)| one == name)?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// Every value of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(one, _)| one == name)
            .map(|(_, value)| value.as_str())
    }

    /// A number; `None` where it is missing or none.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }
}

/// A query that cannot be read is an empty one.
impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let fields = Query::try_from_uri(&parts.uri).map(|Query(fields)| Self(fields));
        Ok(fields.unwrap_or_default())
    }
}

/// A form sent by an operator from a page of ours.
pub struct Action {
    /// Who sent it.
    pub identity: Identity,
    /// What it holds.
    pub fields: Fields,
}

impl<S: Send + Sync> FromRequest<S> for Action {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let Some(identity) = request.extensions().get::<Identity>().cloned() else {
            return Err(axum::http::StatusCode::UNAUTHORIZED.into_response());
        };
        let form = Form::from_request(request, state).await;
        let Form(fields) = form.map_err(IntoResponse::into_response)?;
        let fields = Fields(fields);
        let key = fields.text(KEY).unwrap_or_default();
        let is_ours: bool = key.as_bytes().ct_eq(identity.form_key.as_bytes()).into();
        if !identity.may_act() || !is_ours {
            let text = "This form is out of date: nothing was done. Go back, reload the page, \
                        and send it again.";
            return Err(layout::refuse(&identity, text));
        }
        Ok(Self { identity, fields })
    }
}

/// The field that a form of ours needs.
pub fn key(identity: &Identity) -> Markup {
    html! { input type="hidden" name=(KEY) value=(identity.form_key); }
}
