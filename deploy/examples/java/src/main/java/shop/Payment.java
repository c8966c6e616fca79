package shop;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Scope;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * The payment of the demo shop: the last service of an order, unless NEXT_URL names another one.
 *
 * <p>Requests, both incoming and outgoing, and log lines are instrumented from outside, by the
 * OpenTelemetry agent ({@code -javaagent}). The span {@code charge card} is made by hand.
 */
public final class Payment {
    private static final String SERVICE = environment("OTEL_SERVICE_NAME").orElse("payment");
    private static final Optional<String> NEXT = environment("NEXT_URL");
    private static final Logger LOG = Logger.getLogger(SERVICE);
    private static final Tracer TRACER = GlobalOpenTelemetry.getTracer(SERVICE);
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    private Payment() {}

    public static void main(String[] arguments) throws IOException {
        int port = environment("PORT").map(Integer::parseInt).orElse(8080);
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.createContext("/healthz", exchange -> answer(exchange, 200, "ok\n"));
        server.createContext("/order", Payment::order);
        server.start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(1)));
        LOG.log(Level.INFO, "open on port {0}", Integer.toString(port));
    }

    /** GET /order?item=7, and for the demo: fail=SERVICE, slow=SERVICE. */
    private static void order(HttpExchange exchange) throws IOException {
        Span span = Span.current();
        String traceId = span.getSpanContext().getTraceId();
        try {
            pay(Optional.ofNullable(exchange.getRequestURI().getQuery()).orElse(""));
            LOG.info("card charged");
            answer(exchange, 200, "{\"payment\": \"charged\", \"trace_id\": \"" + traceId + "\"}");
        } catch (IOException | InterruptedException | IllegalStateException error) {
            span.recordException(error);
            span.setStatus(StatusCode.ERROR, error.getMessage());
            LOG.log(Level.SEVERE, "order refused", error);
            answer(exchange, 500, "{\"error\": \"refused\", \"trace_id\": \"" + traceId + "\"}");
        }
    }

    private static void pay(String query) throws IOException, InterruptedException {
        charge(parameter(query, "item").orElse("1"), names(query, "slow"));
        if (names(query, "fail")) {
            throw new IllegalStateException("the card has expired");
        }
        if (NEXT.isPresent()) {
            passOn(NEXT.get() + "/order?" + query);
        }
    }

    private static void charge(String item, boolean isSlow) throws InterruptedException {
        Span span = TRACER.spanBuilder("charge card").setAttribute("shop.item", item).startSpan();
        try (Scope ignored = span.makeCurrent()) {
            Thread.sleep(isSlow ? 1500 : 5);
        } finally {
            span.end();
        }
    }

    private static void passOn(String uri) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(uri)).build();
        int status = CLIENT.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
        if (status != 200) {
            throw new IllegalStateException("the next service answers " + status);
        }
    }

    private static void answer(HttpExchange exchange, int status, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, body.length);
        try (var stream = exchange.getResponseBody()) {
            stream.write(body);
        }
    }

    /** Whether a parameter of the query has the name of this service. */
    private static boolean names(String query, String parameter) {
        return parameter(query, parameter).filter(SERVICE::equals).isPresent();
    }

    private static Optional<String> parameter(String query, String name) {
        for (String pair : query.split("&")) {
            if (pair.startsWith(name + "=")) {
                return Optional.of(pair.substring(name.length() + 1));
            }
        }
        return Optional.empty();
    }

    private static Optional<String> environment(String name) {
        return Optional.ofNullable(System.getenv(name)).filter(value -> !value.isEmpty());
    }
}
