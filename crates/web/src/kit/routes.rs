//! Routes that can be listed.
//!
//! Axum's router does not tell what it was given. [`Routes`] is filled in the same words (`.route("/lists", get(index))`)
//! and keeps the list, so that a test can hold every route against the table of rights: a route that is missing there
//! fails the suite. Clippy forbids axum's own `route`.

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
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, parameters in braces.
    pub path: &'static str,
}

/// The routes of an area, whose handlers work with `S`.
#[derive(Debug)]
pub struct Routes<S> {
    router: Router<S>,
    list: Vec<Route>,
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
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a path.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that keeps the list"
    )]
    pub fn route(mut self, path: &'static str, methods: Methods<S>) -> Self {
        let routes = methods.list.into_iter();
        self.list
            .extend(routes.map(|method| Route { method, path }));
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

    /// Puts a layer around the routes added so far.
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

    /// What is there.
    #[must_use]
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    /// Axum's router.
    pub fn into_router(self) -> Router<S> {
        self.router
    }
}

/// The handlers of a path, by method.
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

            /// Puts a layer around the handlers added so far.
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
