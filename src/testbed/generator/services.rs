//! The services that the traffic goes through: a small shop, in several languages, whose teams
//! are at different versions of the semantic conventions.
//!
//! Owns the names, the call graph, and the resource and scopes that each service reports.

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::attributes::{int, string};

/// Instances that every service runs.
pub(super) const INSTANCES: u32 = 2;

/// The service that gets requests from outside.
pub(super) const FRONT_DOOR: usize = 0;

/// The service that consumes [`ORDERS_TOPIC`].
pub(super) const ORDERS_CONSUMER: usize = 6;

/// The Kafka topic through which the services talk.
pub(super) const ORDERS_TOPIC: &str = "orders";

/// Which generation of the semantic conventions a service's instrumentation writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Conventions {
    /// `http.method`, `net.peer.name`, `db.system`.
    Old,
    /// `http.request.method`, `server.address`, `db.system.name`.
    New,
    /// Both, as during a migration (`OTEL_SEMCONV_STABILITY_OPT_IN=http/dup`).
    Both,
}

impl Conventions {
    pub(super) fn writes_old(self) -> bool {
        self != Self::New
    }

    pub(super) fn writes_new(self) -> bool {
        self != Self::Old
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Grpc,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Database {
    Postgres,
    Redis,
}

/// A part of a service that makes spans, each with a scope of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Library {
    Own,
    Remote,
    Database,
    Messaging,
}

pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) language: &'static str,
    pub(super) sdk_version: &'static str,
    pub(super) conventions: Conventions,
    /// The protocol by which it is called.
    pub(super) protocol: Protocol,
    /// Method and route, or RPC service and method.
    pub(super) routes: &'static [(&'static str, &'static str)],
    /// Indexes of the services it calls.
    pub(super) calls: &'static [usize],
    pub(super) database: Option<Database>,
    pub(super) publishes: bool,
    /// Names and versions of the scopes, in the order of [`Library`].
    scopes: [(&'static str, &'static str); 4],
}

pub(super) static SERVICES: [Service; 7] = [
    Service {
        name: "frontend",
        version: "4.11.0",
        language: "nodejs",
        sdk_version: "1.30.1",
        conventions: Conventions::Old,
        protocol: Protocol::Http,
        routes: &[
            ("GET", "/"),
            ("GET", "/products/:id"),
            ("GET", "/cart"),
            ("POST", "/cart"),
            ("POST", "/cart/checkout"),
        ],
        calls: &[1, 2, 3],
        database: None,
        publishes: false,
        scopes: [
            ("frontend", "4.11.0"),
            ("@opentelemetry/instrumentation-http", "0.57.2"),
            ("@opentelemetry/instrumentation-redis-4", "0.46.1"),
            ("@opentelemetry/instrumentation-kafkajs", "0.7.0"),
        ],
    },
    Service {
        name: "checkout",
        version: "2.3.1",
        language: "go",
        sdk_version: "1.38.0",
        conventions: Conventions::New,
        protocol: Protocol::Grpc,
        routes: &[("shop.checkout.v1.CheckoutService", "PlaceOrder")],
        calls: &[2, 3, 4, 5],
        database: None,
        publishes: true,
        scopes: [
            ("example.com/shop/checkout", "2.3.1"),
            (
                "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc",
                "0.63.0",
            ),
            ("github.com/redis/go-redis/extra/redisotel", "9.7.0"),
            ("github.com/twmb/franz-go/plugin/kotel", "1.6.0"),
        ],
    },
    Service {
        name: "cart",
        version: "1.19.0",
        language: "dotnet",
        sdk_version: "1.12.0",
        conventions: Conventions::New,
        protocol: Protocol::Http,
        routes: &[
            ("GET", "/api/carts/{user}"),
            ("PUT", "/api/carts/{user}/items/{item}"),
            ("DELETE", "/api/carts/{user}"),
        ],
        calls: &[],
        database: Some(Database::Redis),
        publishes: false,
        scopes: [
            ("Shop.Cart", "1.19.0"),
            ("Microsoft.AspNetCore", "9.0.4"),
            ("OpenTelemetry.Instrumentation.StackExchangeRedis", "1.12.0"),
            ("Confluent.Kafka", "2.8.0"),
        ],
    },
    Service {
        name: "catalogue",
        version: "7.0.2",
        language: "java",
        sdk_version: "1.49.0",
        conventions: Conventions::Both,
        protocol: Protocol::Http,
        routes: &[
            ("GET", "/api/products"),
            ("GET", "/api/products/{id}"),
            ("GET", "/api/products/{id}/recommendations"),
        ],
        calls: &[],
        database: Some(Database::Postgres),
        publishes: false,
        scopes: [
            ("shop.catalogue", "7.0.2"),
            ("io.opentelemetry.tomcat-10.0", "2.15.0-alpha"),
            ("io.opentelemetry.jdbc", "2.15.0-alpha"),
            ("io.opentelemetry.kafka-clients-2.6", "2.15.0-alpha"),
        ],
    },
    Service {
        name: "payment",
        version: "3.0.0",
        language: "python",
        sdk_version: "1.33.1",
        conventions: Conventions::Old,
        protocol: Protocol::Grpc,
        routes: &[
            ("shop.payment.v1.PaymentService", "Charge"),
            ("shop.payment.v1.PaymentService", "Refund"),
        ],
        calls: &[],
        database: Some(Database::Postgres),
        publishes: false,
        scopes: [
            ("payment.service", "3.0.0"),
            ("opentelemetry.instrumentation.grpc", "0.54b1"),
            ("opentelemetry.instrumentation.psycopg2", "0.54b1"),
            ("opentelemetry.instrumentation.kafka", "0.54b1"),
        ],
    },
    Service {
        name: "shipping",
        version: "0.8.4",
        language: "rust",
        sdk_version: "0.29.0",
        conventions: Conventions::New,
        protocol: Protocol::Http,
        routes: &[("POST", "/get-quote"), ("POST", "/ship-order")],
        calls: &[],
        database: None,
        publishes: false,
        scopes: [
            ("shipping", "0.8.4"),
            ("opentelemetry-instrumentation-actix-web", "0.22.0"),
            ("sqlx", "0.8.3"),
            ("rdkafka", "0.37.0"),
        ],
    },
    Service {
        name: "accounting",
        version: "5.2.7",
        language: "java",
        sdk_version: "1.49.0",
        conventions: Conventions::New,
        protocol: Protocol::Http,
        routes: &[("GET", "/api/accounts/{id}")],
        calls: &[],
        database: Some(Database::Postgres),
        publishes: false,
        scopes: [
            ("shop.accounting", "5.2.7"),
            ("io.opentelemetry.spring-webmvc-6.0", "2.15.0"),
            ("io.opentelemetry.jdbc", "2.15.0-alpha"),
            ("io.opentelemetry.kafka-clients-2.6", "2.15.0-alpha"),
        ],
    },
];

impl Service {
    pub(super) fn resource(&self, instance: u32) -> Resource {
        let name = self.name;
        let pod = format!("{name}-6d4b75cb6d-{instance}x7kq");
        let attributes = vec![
            string("service.name", name),
            string("service.namespace", "shop"),
            string("service.version", self.version),
            string(
                "service.instance.id",
                &format!("0a1f4c2e-5b7d-4e63-9c{instance:02}-{name:0<12.12}"),
            ),
            string("telemetry.sdk.name", "opentelemetry"),
            string("telemetry.sdk.language", self.language),
            string("telemetry.sdk.version", self.sdk_version),
            string("deployment.environment.name", "production"),
            string("k8s.cluster.name", "eu-west-1a"),
            string("k8s.namespace.name", "shop"),
            string("k8s.deployment.name", name),
            string("k8s.pod.name", &pod),
            string("host.name", &pod),
            int("process.pid", 1 + i64::from(instance)),
        ];
        Resource { attributes, ..Resource::default() }
    }

    pub(super) fn scope(&self, library: Library) -> InstrumentationScope {
        let (name, version) = self.scopes[library as usize];
        let attributes: Vec<KeyValue> = match library {
            Library::Own => vec![string("team", "shop")],
            _ => Vec::new(),
        };
        InstrumentationScope {
            name: name.into(),
            version: version.into(),
            attributes,
            dropped_attributes_count: 0,
        }
    }

    pub(super) fn schema_url(&self) -> &'static str {
        match self.conventions {
            Conventions::Old => "https://opentelemetry.io/schemas/1.17.0",
            Conventions::New | Conventions::Both => "https://opentelemetry.io/schemas/1.27.0",
        }
    }
}
