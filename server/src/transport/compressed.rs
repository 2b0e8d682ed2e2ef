//! A streamed response in a content coding, where the request takes it (RFC 9110 §8.4, §12.5.3).

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue,
        header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY},
    },
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use bytes::Bytes;
use http_body::{Body as _, Frame};

use super::encoder::Encoder;
use crate::{
    connection::{Carriage, Connection},
    contract::factors::{Coding, Compression},
};

/// Has all that these routes stream coded. Without a coding nothing is laid over them, and nobody pays.
pub fn coded<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    compression: Compression,
) -> Router<S> {
    match compression {
        Compression::Coding(coding, level) => {
            routes.layer(from_fn_with_state((coding, level), code))
        }
        Compression::Off | Compression::Deflate { .. } => routes,
    }
}

async fn code(
    State((coding, level)): State<(Coding, u8)>,
    request: Request,
    next: Next,
) -> Response {
    let accepted = accepts(request.headers(), coding);
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let mut response = next.run(request).await;
    // What has a length is a refusal in words or an upgrade.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if !accepted {
        return response;
    }
    let encoder = match Encoder::new(coding, level) {
        Ok(encoder) => encoder,
        Err(error) => {
            tracing::warn!(%error, "cannot code a stream, which goes as it is");
            return response;
        }
    };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    if let Some(connection) = connection {
        connection.carries(Carriage {
            ws_library: None,
            compression: encoder.compression(),
        });
    }
    response.map(|body| {
        Body::new(Coded {
            body,
            encoder: Some(encoder),
        })
    })
}

/// Whether a request takes a coding: it must name it, or `*`, with a weight above 0.
///
/// A request that says nothing takes any coding by the standard; whoever wrote one by hand did not mean it.
fn accepts(headers: &HeaderMap, coding: Coding) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    let members = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let (mut named, mut any) = (None, None);
    for member in members {
        let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
        let place = match name.trim() {
            "*" => &mut any,
            name if name.eq_ignore_ascii_case(coding.name()) => &mut named,
            _ => continue,
        };
        *place = Some(is_wanted(parameters));
    }
    named.or(any).unwrap_or(false)
}

/// Whether a weight is above 0; one that cannot be read is none, since no coding is always safe.
fn is_wanted(parameters: &str) -> bool {
    let weight = parameters.trim();
    if weight.is_empty() {
        return true;
    }
    let weight = weight.strip_prefix(['q', 'Q']).map(str::trim_start);
    let weight = weight.and_then(|weight| weight.strip_prefix('='));
    weight.is_some_and(|weight| weight.trim().parse().is_ok_and(|weight: f32| weight > 0.0))
}

/// A body whose every frame is one of the body below, coded and flushed: what goes into a write together, and
/// when, is decided there.
struct Coded {
    body: Body,
    /// Gone once the coding has ended.
    encoder: Option<Encoder>,
}

impl http_body::Body for Coded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(encoder) = &mut this.encoder else {
            return Poll::Ready(None);
        };
        let coded = match ready!(Pin::new(&mut this.body).poll_frame(cx)).transpose()? {
            Some(frame) => match frame.into_data() {
                Ok(event) => encoder.event(&event),
                // No stream of ours has trailers, which a coding would not touch.
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            },
            None => match this.encoder.take() {
                Some(encoder) => encoder.finish(),
                None => return Poll::Ready(None),
            },
        };
        let coded = coded.map(|bytes| Frame::data(bytes.into()));
        Poll::Ready(Some(coded.map_err(axum::Error::new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_taken_when_it_is_named_and_wanted() {
        let takes = |lines: &[&'static str], coding| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            accepts(&headers, coding)
        };
        for lines in [
            &["gzip"][..],
            &["br, GZIP"],
            &["br", "gzip"],
            &["deflate;q=1.0,gzip ; q=0.001"],
            &["*"],
            &["identity, *;q=0.5"],
            &["*;q=0, gzip;Q = 1"],
        ] {
            assert!(takes(lines, Coding::Gzip), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["br"],
            &["identity"],
            &["gzip;q=0"],
            &["gzip; q=0.000, *"],
            &["*;q=0"],
            &["gzip;q=much"],
            &["gzip;level=9"],
            &["xgzip, gzipx"],
        ] {
            assert!(!takes(lines, Coding::Gzip), "{lines:?}");
        }
        assert!(takes(&["gzip, br, zstd"], Coding::Zstd));
        assert!(takes(&["gzip, br, zstd"], Coding::Br));
    }
}
