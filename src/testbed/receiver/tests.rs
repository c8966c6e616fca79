//! The receiver against tonic's own client with the generated messages' wire form.

use std::net::{IpAddr, Ipv4Addr};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::*;

const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn start() -> (Receiver, Arc<Mutex<Vec<Bytes>>>) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let log = taken.clone();
    let sink = Box::new(move |bytes| log.lock().unwrap().push(bytes));
    (Receiver::start(LOCALHOST, sink).await.unwrap(), taken)
}

fn request(size: usize) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            schema_url: "x".repeat(size),
            ..ResourceSpans::default()
        }],
    }
}

async fn export(
    receiver: &Receiver,
    request: ExportTraceServiceRequest,
) -> Result<Response<ExportTraceServiceResponse>, Status> {
    let endpoint = format!("http://{}", receiver.local_addr());
    let endpoint = tonic::transport::Endpoint::from_shared(endpoint).unwrap();
    let mut client = tonic::client::Grpc::new(endpoint.connect_lazy());
    client.ready().await.unwrap();
    let path =
        PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    let codec = ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceResponse>::default();
    client.unary(Request::new(request), path, codec).await
}

#[tokio::test]
async fn the_sink_gets_the_bytes_of_the_request() {
    let (receiver, taken) = start().await;
    let response = export(&receiver, request(100)).await.unwrap();
    assert_eq!(response.into_inner().partial_success, None);
    assert_eq!(*taken.lock().unwrap(), [request(100).encode_to_vec()]);
    assert_eq!((receiver.requests(), receiver.taken()), (1, 1));
}

#[tokio::test]
async fn more_than_4_mib_are_not_taken() {
    let (receiver, taken) = start().await;
    let status = export(&receiver, request(4 * 1024 * 1024)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn behaviours_can_be_switched() {
    let (receiver, taken) = start().await;
    receiver.behave(Behaviour::Unavailable);
    let status = export(&receiver, request(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);

    receiver.behave(Behaviour::Code(Code::ResourceExhausted, Some(Duration::from_millis(1500))));
    let status = export(&receiver, request(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    // seconds: 1, nanos: 500 000 000, written down by hand from error_details.proto.
    let info = b"\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01";
    let is_there = status.details().windows(info.len()).any(|w| w == info);
    assert!(is_there, "{:?}", status.details());
    assert!(taken.lock().unwrap().is_empty());

    receiver.behave(Behaviour::PartialSuccess { rejected: 3 });
    let response = export(&receiver, request(1)).await.unwrap().into_inner();
    assert_eq!(response.partial_success.unwrap().rejected_spans, 3);
    assert_eq!(taken.lock().unwrap().len(), 1);

    receiver.behave(Behaviour::AcceptThenFail);
    export(&receiver, request(1)).await.unwrap_err();
    assert_eq!(taken.lock().unwrap().len(), 2);

    receiver.behave(Behaviour::AcceptThenClose);
    export(&receiver, request(1)).await.unwrap_err();
    assert_eq!(taken.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_killed_receiver_frees_its_port() {
    let (receiver, _) = start().await;
    export(&receiver, request(1)).await.unwrap();
    let addr = receiver.local_addr();
    receiver.kill().await;
    TcpListener::bind(addr).await.unwrap();
}
