//! A router whose routes can be listed.
//!
//! Axum's router cannot list its routes. [`Routes`] has the same interface and keeps a list, so
//! that a test can check every route against the table of rights and fail on one that is missing
//! there. Clippy forbids axum's own `route`.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, Route as AxumRoute};
use tower::{Layer, Service};

/// A method at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEntry {
    /// HTTP method.
    pub method: Method,
    /// Path, with parameters in braces.
    pub path: &'static str,
}

/// Routes of one area, whose handlers use the state `S`.
#[derive(Debug)]
pub struct Routes<S> {
    router: Router<S>,
    list: Vec<RouteEntry>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self {
            router: Router::new(),
            list: Vec::new(),
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a path.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that records routes"
    )]
    pub fn route(mut self, path: &'static str, methods: Methods<S>) -> Self {
        let routes = methods.list.into_iter();
        self.list
            .extend(routes.map(|method| RouteEntry { method, path }));
        self.router = self.router.route(path, methods.router);
        self
    }

    /// Adds the routes of another area.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.list.extend(other.list);
        self.router = self.router.merge(other.router);
        self
    }

    /// Wraps the routes added so far in a layer.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<AxumRoute> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.router = self.router.layer(layer);
        self
    }

    /// All routes, in the order in which they were added.
    #[must_use]
    pub fn list(&self) -> &[RouteEntry] {
        &self.list
    }

    /// Returns the axum router.
    pub fn into_router(self) -> Router<S> {
        self.router
    }
}

/// Handlers of a path, by method.
#[derive(Debug)]
pub struct Methods<S> {
    router: MethodRouter<S>,
    list: Vec<Method>,
}

macro_rules! methods {
    ($($name:ident $method:ident)+) => {
        $(
            #[doc = concat!("A handler of `", stringify!($method), "`.")]
            pub fn $name<H, T, S>(handler: H) -> Methods<S>
            where
                H: Handler<T, S>,
                T: 'static,
                S: Clone + Send + Sync + 'static,
            {
                Methods {
                    router: axum::routing::$name(handler),
                    list: vec![Method::$method],
                }
            }
        )+

        impl<S: Clone + Send + Sync + 'static> Methods<S> {
            $(
                #[doc = concat!("And a handler of `", stringify!($method), "`.")]
                #[must_use]
                pub fn $name<H, T>(mut self, handler: H) -> Self
                where
                    H: Handler<T, S>,
                    T: 'static,
                {
                    self.router = self.router.$name(handler);
                    self.list.push(Method::$method);
                    self
                }
            )+

            /// Wraps the handlers added so far in a layer.
            #[must_use]
            pub fn layer<L>(mut self, layer: L) -> Self
            where
                L: Layer<AxumRoute> + Clone + Send + Sync + 'static,
                L::Service: Service<Request> + Clone + Send + Sync + 'static,
                <L::Service as Service<Request>>::Response: IntoResponse + 'static,
                <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
                <L::Service as Service<Request>>::Future: Send + 'static,
            {
                self.router = self.router.layer(layer);
                self
            }
        }
    };
}

methods! { get GET  post POST }
