// Package ottlfuncs adds no function: those of profiles are of no use for traces.
package ottlfuncs

import "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"

// WithProfileConverters returns the converters it is given.
func WithProfileConverters[K any](converters map[string]ottl.Factory[K]) map[string]ottl.Factory[K] {
	return converters
}
