//! Names and attributes of spans, by the old and the new OpenTelemetry semantic conventions.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use rand::Rng;
use rand::rngs::StdRng;

use super::plan::{Activity, Node};
use super::services::{Conventions, Database, ORDERS_TOPIC, SERVICES, Service};

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

pub(super) fn string(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(super) fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

/// The attributes of a span, and its name.
pub(super) fn describe(rng: &mut StdRng, node: &Node) -> (String, Vec<KeyValue>) {
    let service = node.service();
    let conventions = service.conventions;
    let grpc = node.activity.is_grpc(service);
    match node.activity {
        Activity::Serve { route } if grpc => rpc(rng, conventions, service, route, node.error),
        Activity::Call { callee, route } if grpc => {
            rpc(rng, conventions, &SERVICES[callee], route, node.error)
        }
        Activity::Serve { route } => http_server(rng, service, route, node.error),
        Activity::Call { callee, route } => {
            http_client(rng, conventions, &SERVICES[callee], route, node.error)
        }
        Activity::Query => query(rng, service),
        Activity::Work => work(rng),
        Activity::Publish => message(rng, conventions, "send", "publish"),
        Activity::Consume => message(rng, conventions, "process", "process"),
    }
}

fn status_code(rng: &mut StdRng, error: bool) -> i64 {
    match (error, rng.random_range(0..100)) {
        (true, 0..30) => 503,
        (true, _) => 500,
        (false, 0..92) => 200,
        (false, 92..97) => 201,
        (false, _) => 404,
    }
}

/// The route with its parameters filled in.
fn path(rng: &mut StdRng, route: &str) -> String {
    let parts = route.split('/').map(|part| {
        if part.starts_with([':', '{']) {
            format!("{:08X}", rng.random::<u32>())
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

fn http_server(
    rng: &mut StdRng,
    service: &Service,
    route: usize,
    error: bool,
) -> (String, Vec<KeyValue>) {
    const USER_AGENT: &str =
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let (method, route) = service.routes[route];
    let status = status_code(rng, error);
    let target = path(rng, route);
    let client = format!("10.4.{}.{}", rng.random::<u8>(), rng.random::<u8>());
    let mut attributes = vec![string("http.route", route)];
    if service.conventions.writes_old() {
        attributes.extend([
            string("http.method", method),
            string("http.scheme", "http"),
            string("http.target", &target),
            int("http.status_code", status),
            string("http.user_agent", USER_AGENT),
            string("http.flavor", "1.1"),
            string("net.host.name", service.name),
            int("net.host.port", 8080),
            string("net.peer.ip", &client),
        ]);
    }
    if service.conventions.writes_new() {
        attributes.extend([
            string("http.request.method", method),
            string("url.scheme", "http"),
            string("url.path", &target),
            int("http.response.status_code", status),
            string("user_agent.original", USER_AGENT),
            string("network.protocol.version", "1.1"),
            string("server.address", service.name),
            int("server.port", 8080),
            string("client.address", &client),
        ]);
    }
    (format!("{method} {route}"), attributes)
}

fn http_client(
    rng: &mut StdRng,
    conventions: Conventions,
    callee: &Service,
    route: usize,
    error: bool,
) -> (String, Vec<KeyValue>) {
    let (method, route) = callee.routes[route];
    let status = status_code(rng, error);
    let host = format!("{}.shop.svc.cluster.local", callee.name);
    let url = format!("http://{host}:8080{}", path(rng, route));
    let mut attributes = Vec::new();
    if conventions.writes_old() {
        attributes.extend([
            string("http.method", method),
            string("http.url", &url),
            int("http.status_code", status),
            string("net.peer.name", &host),
            int("net.peer.port", 8080),
            int("http.response_content_length", rng.random_range(200..9000)),
        ]);
    }
    if conventions.writes_new() {
        attributes.extend([
            string("http.request.method", method),
            string("url.full", &url),
            int("http.response.status_code", status),
            string("server.address", &host),
            int("server.port", 8080),
            int("http.request.resend_count", rng.random_range(0..2)),
        ]);
    }
    (method.to_owned(), attributes)
}

fn rpc(
    rng: &mut StdRng,
    conventions: Conventions,
    callee: &Service,
    route: usize,
    error: bool,
) -> (String, Vec<KeyValue>) {
    let (rpc_service, method) = callee.routes[route];
    let host = format!("{}.shop.svc.cluster.local", callee.name);
    let mut attributes = vec![
        string("rpc.system", "grpc"),
        string("rpc.service", rpc_service),
        string("rpc.method", method),
        int("rpc.grpc.status_code", if error { 14 } else { 0 }),
    ];
    let (address, port) = if conventions.writes_old() {
        ("net.peer.name", "net.peer.port")
    } else {
        ("server.address", "server.port")
    };
    attributes.push(string(address, &host));
    attributes.push(int(port, 50051));
    let client = format!("10.4.{}.{}", rng.random::<u8>(), rng.random::<u8>());
    attributes.push(string("network.peer.address", &client));
    (format!("{rpc_service}/{method}"), attributes)
}

fn query(rng: &mut StdRng, service: &Service) -> (String, Vec<KeyValue>) {
    let (system, operation, target, text) = match service.database {
        Some(Database::Redis) => ("redis", "HGETALL", "cart", "HGETALL cart:?"),
        _ if rng.random_bool(0.8) => (
            "postgresql",
            "SELECT",
            "products",
            "SELECT p.id, p.name, p.price_minor, p.currency FROM products p \
             JOIN stock s ON s.product_id = p.id WHERE p.id = $1 AND s.amount > 0",
        ),
        _ => (
            "postgresql",
            "INSERT",
            "ledger_entries",
            "INSERT INTO ledger_entries (account, amount_minor, order_id) VALUES ($1, $2, $3)",
        ),
    };
    let host = format!("{system}-primary.data.svc.cluster.local");
    let mut attributes = Vec::new();
    if service.conventions.writes_old() {
        attributes.extend([
            string("db.system", system),
            string("db.name", service.name),
            string("db.operation", operation),
            string("db.statement", text),
            string("net.peer.name", &host),
        ]);
    }
    if service.conventions.writes_new() {
        attributes.extend([
            string("db.system.name", system),
            string("db.namespace", service.name),
            string("db.operation.name", operation),
            string("db.collection.name", target),
            string("db.query.text", text),
            string("server.address", &host),
        ]);
    }
    (format!("{operation} {target}"), attributes)
}

fn work(rng: &mut StdRng) -> (String, Vec<KeyValue>) {
    const NAMES: [&str; 5] = [
        "validate request",
        "render template",
        "calculate totals",
        "convert currency",
        "serialize response",
    ];
    let tags = ["promotion", "returning-customer"]
        .map(|tag| AnyValue { value: Some(Value::StringValue(tag.into())) });
    let attributes = vec![
        string("code.function.name", "com.example.shop.Handler.handle"),
        int("thread.id", rng.random_range(1..200)),
        string("thread.name", "http-nio-8080-exec-7"),
        string("app.user.id", &format!("{:016x}", rng.random::<u64>())),
        string("app.user.currency", "EUR"),
        attribute("app.cache.hit", Value::BoolValue(rng.random())),
        attribute("app.ratio", Value::DoubleValue(rng.random())),
        attribute("app.tags", Value::ArrayValue(ArrayValue { values: tags.into() })),
    ];
    (NAMES[rng.random_range(0..NAMES.len())].into(), attributes)
}

fn message(
    rng: &mut StdRng,
    conventions: Conventions,
    operation_type: &str,
    operation: &str,
) -> (String, Vec<KeyValue>) {
    let offset = rng.random_range(0..1 << 40);
    let mut attributes = vec![
        string("messaging.system", "kafka"),
        string("messaging.destination.name", ORDERS_TOPIC),
        string("messaging.client.id", "orders-1"),
        int("messaging.message.body.size", rng.random_range(80..2000)),
    ];
    if conventions.writes_old() {
        attributes.extend([
            string("messaging.operation", operation),
            int("messaging.kafka.message.offset", offset),
        ]);
    }
    if conventions.writes_new() {
        attributes.extend([
            string("messaging.operation.type", operation_type),
            string("messaging.operation.name", operation),
            int("messaging.kafka.offset", offset),
            string("messaging.destination.partition.id", "3"),
        ]);
    }
    (format!("{operation} {ORDERS_TOPIC}"), attributes)
}
