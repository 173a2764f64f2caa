//! The table of routes: which method and path leads where, which access it has, which body it
//! takes. Pure; it does not know what the routes do.

use hyper::Method;
use matchit::Router;
use roomcast_access::api_key::ApiScope;

use super::body::BodyLimit;
use super::percent;

/// Which clients may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// All clients, on the node's address.
    Public,
    /// Programs that watch the node: also on the metrics' own address.
    Monitor,
    /// Backends, by API keys with this scope; on an address of their own if there is one.
    Api(ApiScope),
}

/// One method of one path.
#[derive(Debug)]
pub(super) struct Route<E> {
    pub(super) method: Method,
    /// `{name}` is one segment that is not empty.
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) body: BodyLimit,
    pub(super) endpoint: E,
}

/// The decoded values of the path's parameters, in its order.
pub(super) type PathValues = Vec<String>;

/// Why no route was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RouteMiss {
    /// There is nothing at this path.
    Path,
    /// The path does not take the method; it takes these, as `Allow` lists them.
    Method(String),
    /// A parameter is not percent-encoded UTF-8; why.
    Encoding(String),
}

/// The routes, by path.
pub(super) struct RouteTable<E: 'static> {
    paths: Router<Vec<&'static Route<E>>>,
}

impl<E> RouteTable<E> {
    /// The table of these routes; a path with several methods has several routes.
    pub(super) fn new(routes: &'static [Route<E>]) -> Self {
        let mut paths = Router::new();
        for (number, route) in routes.iter().enumerate() {
            if !routes[..number].iter().any(|before| before.path == route.path) {
                let same = routes.iter().filter(|other| other.path == route.path).collect();
                paths.insert(route.path, same).expect("the paths of the table differ");
            }
        }
        Self { paths }
    }

    /// The route of a request's method and path, and the values of its parameters. The path is cut
    /// into segments before anything is decoded, so a `%2F` stays inside its segment; fixed
    /// segments are compared as they are written. HEAD is taken as GET.
    pub(super) fn find(
        &self,
        method: &Method,
        path: &str,
    ) -> Result<(&'static Route<E>, PathValues), RouteMiss> {
        let found = self.paths.at(path).map_err(|_| RouteMiss::Path)?;
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let route = found.value.iter().find(|route| route.method == *wanted);
        let route = route.ok_or_else(|| RouteMiss::Method(allowed(found.value)))?;
        let values = found.params.iter().map(|(_name, value)| percent::decode(value));
        let values = values.collect::<Result<_, _>>().map_err(RouteMiss::Encoding)?;
        Ok((route, values))
    }
}

fn allowed<E>(routes: &[&Route<E>]) -> String {
    let methods = routes.iter().map(|route| match route.method.as_str() {
        "GET" => "GET, HEAD",
        other => other,
    });
    methods.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
