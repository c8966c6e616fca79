{{/* Sizes, durations and ports, as tailsieve and Kubernetes write them. What cannot be read is an empty text. */}}

{{/* A number as it was written: Helm hands over 67108864 as 6.7108864e+07. */}}
{{- define "tailsieve.text" -}}
{{- if kindIs "float64" . }}{{ printf "%.0f" . }}{{ else }}{{ toString . | nospace }}{{ end }}
{{- end }}

{{/* Bytes of `1GiB`, `512Mi`, `64MB`, 1000. */}}
{{- define "tailsieve.bytes" -}}
{{- $text := include "tailsieve.text" . -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text | trimSuffix "B" -}}
{{- $units := dict "" 1 "k" 1e3 "K" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if and $number (hasKey $units $unit) -}}
{{- mulf (float64 $number) (get $units $unit) | printf "%.0f" -}}
{{- end -}}
{{- end }}

{{- define "tailsieve.mebibytes" -}}
{{- printf "%.0f MiB" (divf (float64 .) 1048576) -}}
{{- end }}

{{/* Seconds of `30s`, `1m 30s`, `500ms`, rounded up. */}}
{{- define "tailsieve.seconds" -}}
{{- $text := toString . | nospace -}}
{{- $units := dict "ms" 0.001 "s" 1 "sec" 1 "m" 60 "min" 60 "h" 3600 -}}
{{- $part := "[0-9]+([.][0-9]+)?(ms|sec|s|min|m|h)" -}}
{{- if regexMatch (printf "^(%s)+$" $part) $text -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll $part $text -1 -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $sum = addf $sum (mulf (float64 $number) (get $units (trimPrefix $number .))) -}}
{{- end -}}
{{- ceil $sum -}}
{{- end -}}
{{- end }}

{{/* The port of `host:port` or a URL. */}}
{{- define "tailsieve.port" -}}
{{- $text := toString . -}}
{{- if not (contains "${" $text) -}}
{{- $port := regexFind ":[0-9]+(/|$)" $text -}}
{{- if $port -}}{{ trimAll ":/" $port }}
{{- else if hasPrefix "https://" $text -}}443
{{- else if hasPrefix "http://" $text -}}80
{{- end -}}
{{- end -}}
{{- end }}

{{/* The host of `host:port`. */}}
{{- define "tailsieve.host" -}}
{{- regexReplaceAll ":[0-9]+$" (toString .) "" | trimAll "[]" -}}
{{- end }}
