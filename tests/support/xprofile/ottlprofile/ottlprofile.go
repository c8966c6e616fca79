// Package ottlprofile has the names that the filter of the Collector uses, and no path.
package ottlprofile

import (
	"errors"

	"go.opentelemetry.io/collector/component"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
)

// ContextName is the prefix of paths.
const ContextName = "profile"

// TransformContext is no profile.
type TransformContext struct{}

// ConditionSequenceOption changes a sequence of conditions.
type ConditionSequenceOption func(*ottl.ConditionSequence[*TransformContext])

// EnablePathContextNames changes nothing.
func EnablePathContextNames() ottl.Option[*TransformContext] {
	return func(*ottl.Parser[*TransformContext]) {}
}

// NewParser returns a parser that refuses every path.
func NewParser(functions map[string]ottl.Factory[*TransformContext], settings component.TelemetrySettings, options ...ottl.Option[*TransformContext]) (ottl.Parser[*TransformContext], error) {
	refuse := func(ottl.Path[*TransformContext]) (ottl.GetSetter[*TransformContext], error) {
		return nil, errors.New("this Collector does not know profiles")
	}
	return ottl.NewParser(functions, refuse, settings, options...)
}

// WithConditionSequenceErrorMode sets what becomes of errors.
func WithConditionSequenceErrorMode(mode ottl.ErrorMode) ConditionSequenceOption {
	return func(sequence *ottl.ConditionSequence[*TransformContext]) {
		ottl.WithConditionSequenceErrorMode[*TransformContext](mode)(sequence)
	}
}

// NewConditionSequence joins conditions.
func NewConditionSequence(conditions []*ottl.Condition[*TransformContext], settings component.TelemetrySettings, options ...ConditionSequenceOption) ottl.ConditionSequence[*TransformContext] {
	sequence := ottl.NewConditionSequence(conditions, settings)
	for _, option := range options {
		option(&sequence)
	}
	return sequence
}
