//! A tower layer that runs every HTTP request in an [`EventContext`]; the feature `tower`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use event_core::{EventContext, KEY_MAX, with_context};
use http::request::Parts;
use http::{HeaderMap, Request, header};
use tower_layer::Layer;
use tower_service::Service;
use uuid::Uuid;

/// The most characters that are kept of a client's program.
const AGENT_MAX: usize = 512;

type Fill = dyn Fn(&Parts, EventContext) -> EventContext + Send + Sync;

/// Runs every request in a context of its own: a new correlation id, and as facts its `x-request-id` (the correlation id where it
/// has none), its `x-correlation-id` (as `client_correlation_id`), its `user-agent` and its `traceparent`.
///
/// What a client sends is a fact of the request and decides nothing: with a correlation id of its choice a client could put events
/// among those of somebody else. Behind a gateway of your own that sets these headers and removes those of clients,
/// [`trust_headers`](Self::trust_headers) takes the correlation id from them. A correlation id grants no access in either case.
///
/// Who acts and where from is known to the application: [`with`](Self::with) takes it from the request, where another layer or
/// the server has put it. Put this layer behind the one that authenticates.
///
/// ```
/// use std::net::SocketAddr;
/// use event_sea_orm::prelude::*;
/// use event_sea_orm::tower::ContextLayer;
///
/// #[derive(Clone)]
/// struct CurrentUser { id: i64 }
///
/// let layer = ContextLayer::new().with(|request, mut context| {
///     if let Some(user) = request.extensions.get::<CurrentUser>() {
///         context = context.by_ref(ActorRef::new("user", user.id.to_string()));
///     }
///     // axum: `ConnectInfo<SocketAddr>`
///     match request.extensions.get::<SocketAddr>() {
///         Some(address) => context.ip_address(address.ip()),
///         None => context,
///     }
/// });
/// # let _ = layer;
/// ```
///
/// A header that is too long for its column, or is no text, is as good as none. `x-forwarded-for` is not read: whoever sends a request
/// may write what they like into it; take it in `with` if a proxy of yours sets it.
#[derive(Clone, Default)]
pub struct ContextLayer {
    fill: Option<Arc<Fill>>,
    trusts: bool,
}

/// The fact under which the client's own correlation id is kept.
pub const CLIENT_CORRELATION_ID: &str = "client_correlation_id";

impl ContextLayer {
    /// With what the headers say.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the correlation id from `x-correlation-id`, else from `x-request-id`: for a service that only a gateway of your own can
    /// reach, which sets both and lets none of a client through. An id in the form of an event's name (`events/7`) is never taken.
    #[must_use]
    pub fn trust_headers(mut self) -> Self {
        self.trusts = true;
        self
    }

    /// And what this makes of it.
    #[must_use]
    pub fn with(mut self, fill: impl Fn(&Parts, EventContext) -> EventContext + Send + Sync + 'static) -> Self {
        self.fill = Some(Arc::new(fill));
        self
    }
}

impl fmt::Debug for ContextLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ContextLayer {
    type Service = ContextService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ContextService { layer: self.clone(), inner }
    }
}

/// The service that [`ContextLayer`] makes of another.
#[derive(Clone, Debug)]
pub struct ContextService<S> {
    layer: ContextLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for ContextService<S>
where
    S: Service<Request<B>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let mut context = of_headers(&parts.headers, self.layer.trusts);
        if let Some(fill) = &self.layer.fill {
            context = fill(&parts, context);
        }
        let answer = self.inner.call(Request::from_parts(parts, body));
        Box::pin(with_context(context, answer))
    }
}

fn of_headers(headers: &HeaderMap, trusts: bool) -> EventContext {
    let text = |name: &str| headers.get(name)?.to_str().ok().filter(|text| !text.is_empty());
    let id = |name: &str| text(name).filter(|id| id.len() <= KEY_MAX).map(str::to_owned);
    let (request_id, client_id) = (id("x-request-id"), id("x-correlation-id"));
    let trusted = |id: &&String| trusts && !is_event_name(id);
    let trusted_id = client_id.as_ref().filter(trusted).or(request_id.as_ref().filter(trusted));
    let correlation_id = trusted_id.cloned().unwrap_or_else(|| Uuid::now_v7().to_string());
    let mut context = EventContext::new().request_id(request_id.unwrap_or_else(|| correlation_id.clone()));
    if let Some(client_id) = client_id.filter(|id| *id != correlation_id) {
        context = context.field(CLIENT_CORRELATION_ID, client_id);
    }
    context = context.correlation(correlation_id);
    if let Some(agent) = text(header::USER_AGENT.as_str()) {
        // Text of a header is ASCII.
        context = context.user_agent(&agent[..agent.len().min(AGENT_MAX)]);
    }
    if let Some(trace) = text("traceparent").filter(|trace| is_traceparent(trace)) {
        context = context.traceparent(trace);
    }
    context
}

/// Whether the id has the form of an event's name, of whatever log: `events/7`.
fn is_event_name(id: &str) -> bool {
    id.rsplit_once('/').is_some_and(|(_, number)| number.parse::<i64>().is_ok())
}

/// `00-<32 digits>-<16 digits>-<2 digits>`, hexadecimal. <https://www.w3.org/TR/trace-context/#traceparent-header-field-values>
fn is_traceparent(text: &str) -> bool {
    let lengths = text.split('-').map(str::len).take(4);
    lengths.eq([2, 32, 16, 2]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) && text.len() == 55
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::Future;

    use super::*;

    /// Answers with the context it runs in.
    #[derive(Clone)]
    struct Mirror;

    impl Service<Request<()>> for Mirror {
        type Response = EventContext;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<EventContext, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            Box::pin(async { Ok(EventContext::current()) })
        }
    }

    async fn seen(layer: ContextLayer, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.extension(7_i64).body(()).unwrap();
        let Ok(context) = layer.layer(Mirror).call(request).await;
        format!("{context:?}")
    }

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[tokio::test]
    async fn a_request_runs_in_its_context() {
        let headers = [("x-request-id", "req-1"), ("user-agent", "curl/8"), ("traceparent", TRACE)];
        let shown = seen(ContextLayer::new(), &headers).await;
        for part in ["\"req-1\"", "\"curl/8\"", TRACE, "by: None"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[tokio::test]
    async fn a_clients_ids_are_facts() {
        let headers = [("x-request-id", "req-1"), ("x-correlation-id", "order-7")];
        let shown = seen(ContextLayer::new(), &headers).await;
        assert!(shown.contains("\"client_correlation_id\": String(\"order-7\")"), "{shown}");
        assert!(shown.contains("\"request_id\": String(\"req-1\")"), "{shown}");
        let other = seen(ContextLayer::new(), &headers).await;
        let given = |shown: &str| shown.split("Given(").nth(1).map(str::to_owned);
        assert!(given(&shown).is_some() && given(&shown) != given(&other), "a new one for each request");
        assert!(!given(&shown).unwrap().contains("order-7") && !given(&shown).unwrap().contains("req-1"), "{shown}");
    }

    #[tokio::test]
    async fn of_a_gateway_they_are_taken_unless_they_name_an_event() {
        let trusting = || ContextLayer::new().trust_headers();
        for (headers, id) in [
            (vec![("x-request-id", "req-1"), ("x-correlation-id", "order-7")], "order-7"),
            (vec![("x-request-id", "req-1")], "req-1"),
            (vec![("x-request-id", "req-1"), ("x-correlation-id", "events/1")], "req-1"),
        ] {
            let shown = seen(trusting(), &headers).await;
            assert!(shown.contains(&format!("Given(\"{id}\")")), "{shown}");
        }
        for name in ["events/1", "other_log/07", "events/+1"] {
            let shown = seen(trusting(), &[("x-correlation-id", name), ("x-request-id", name)]).await;
            assert!(!shown.contains(&format!("Given(\"{name}\")")), "{shown}");
            assert!(shown.contains(&format!("\"client_correlation_id\": String(\"{name}\")")), "{shown}");
        }
    }

    #[tokio::test]
    async fn the_application_adds_who_acts() {
        let layer = ContextLayer::new().with(|request, context| match request.extensions.get::<i64>() {
            Some(id) => context.by_ref(event_core::ActorRef::new("user", id.to_string())),
            None => context,
        });
        let shown = seen(layer, &[]).await;
        assert!(shown.contains("kind: \"user\", id: \"7\""), "{shown}");
    }

    #[tokio::test]
    async fn headers_that_are_no_good_are_left_out() {
        let (long, agent) = ("x".repeat(KEY_MAX + 1), "a".repeat(2_000));
        let headers = [("x-request-id", &*long), ("traceparent", "00-zz"), ("user-agent", &*agent)];
        let shown = seen(ContextLayer::new(), &headers).await;
        assert!(!shown.contains(&long) && !shown.contains("00-zz"), "{shown}");
        assert!(shown.contains(&"a".repeat(AGENT_MAX)) && !shown.contains(&"a".repeat(AGENT_MAX + 1)), "{shown}");
    }
}
