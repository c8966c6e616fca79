// A stand-in for the module of OTTL's context of profiles, of which the module proxies do not have every
// release: the Collector of the tests handles traces only, and the filter it shares with profiles has to
// compile.
module github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/xprofile

go 1.26.0
