// The stock of the demo shop: reserves what was ordered, and passes the order on to the next service.
//
// Go is instrumented in the source: otelhttp makes the spans of requests, incoming and outgoing, and
// otelslog sends log lines with the trace id of their context. The span `reserve item` is made by hand.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

var (
	service = getenv("OTEL_SERVICE_NAME", "stock")
	next    = os.Getenv("NEXT_URL")
	tracer  = otel.Tracer("stock")
	logger  = otelslog.NewLogger("stock")
	client  = http.Client{
		Transport: otelhttp.NewTransport(http.DefaultTransport),
		Timeout:   10 * time.Second,
	}
)

func main() {
	if err := run(); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	shutdown, err := setUpOpenTelemetry(ctx)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /order", otelhttp.NewHandler(http.HandlerFunc(order), "GET /order"))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := http.Server{
		Addr:              ":" + getenv("PORT", "8080"),
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
	}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(context.Background())
	}()
	slog.Info("open", "address", server.Addr, "next", next)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return shutdown(context.Background())
}

// GET /order?item=7, and for the demo: fail=SERVICE, slow=SERVICE.
func order(w http.ResponseWriter, r *http.Request) {
	ctx, query := r.Context(), r.URL.Query()
	answer, err := handle(ctx, query)
	status := http.StatusOK
	if err != nil {
		span := trace.SpanFromContext(ctx)
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
		logger.ErrorContext(ctx, "order refused", "error", err)
		status, answer = http.StatusInternalServerError, map[string]any{"error": err.Error()}
	} else {
		logger.InfoContext(ctx, "item reserved", "item", query.Get("item"))
	}
	answer["trace_id"] = trace.SpanContextFromContext(ctx).TraceID().String()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func handle(ctx context.Context, query url.Values) (map[string]any, error) {
	reserve(ctx, query.Get("item"), query.Get("slow") == service)
	if query.Get("fail") == service {
		return nil, fmt.Errorf("item %s is out of stock", query.Get("item"))
	}
	if next == "" {
		return map[string]any{"stock": "reserved"}, nil
	}
	return passOn(ctx, query)
}

func reserve(ctx context.Context, item string, slow bool) {
	_, span := tracer.Start(ctx, "reserve item", trace.WithAttributes(attribute.String("shop.item", item)))
	defer span.End()
	duration := 5 * time.Millisecond
	if slow {
		duration = 1500 * time.Millisecond
	}
	time.Sleep(duration)
}

func passOn(ctx context.Context, query url.Values) (map[string]any, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, next+"/order?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the next service answers %d", response.StatusCode)
	}
	answer := map[string]any{}
	err = json.NewDecoder(response.Body).Decode(&answer)
	return answer, err
}

func getenv(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
